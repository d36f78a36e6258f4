# linux/s390x: write(1, message, length), then exit(0).
    .section .rodata
    .balign 2                       # larl counts in halfwords
message:
    .ascii  "linux/s390x s390x\n"
    .equ    length, . - message

    .globl _start
    .text
_start:
    lghi    %r2, 1
    larl    %r3, message
    lghi    %r4, length
    svc     4                       # write
    lghi    %r2, 0
    svc     1                       # exit
