@ linux/arm/v7: write(1, message, length), then exit(0).
@ movw and movt are what an ARMv6 machine does not have, so this program runs on no less than it says.
    .arch   armv7-a

    .section .rodata
message:
    .ascii  "linux/arm/v7 armv7l\n"
    .equ    length, . - message

    .globl _start
    .text
_start:
    mov     r7, #4                  @ write
    mov     r0, #1
    movw    r1, #:lower16:message
    movt    r1, #:upper16:message
    mov     r2, #length
    svc     #0
    mov     r7, #1                  @ exit
    mov     r0, #0
    svc     #0
