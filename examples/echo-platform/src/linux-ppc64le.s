# linux/ppc64le: write(1, message, length), then exit(0).
    .abiversion 2

    .section .rodata
message:
    .ascii  "linux/ppc64le ppc64le\n"
    .equ    length, . - message

    .globl _start
    .text
_start:
    li      %r0, 4                  # write
    li      %r3, 1
    lis     %r4, message@ha
    addi    %r4, %r4, message@l
    li      %r5, length
    sc
    li      %r0, 1                  # exit
    li      %r3, 0
    sc
