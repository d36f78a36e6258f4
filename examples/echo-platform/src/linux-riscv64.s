# linux/riscv64: write(1, message, length), then exit(0).
    .section .rodata
message:
    .ascii  "linux/riscv64 riscv64\n"
    .equ    length, . - message

    .globl _start
    .text
_start:
    li      a7, 64                  # write
    li      a0, 1
    lla     a1, message
    li      a2, length
    ecall
    li      a7, 93                  # exit
    li      a0, 0
    ecall
