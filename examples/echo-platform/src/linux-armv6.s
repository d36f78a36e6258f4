@ linux/arm/v6: write(1, message, length), then exit(0).
    .arch   armv6

    .section .rodata
message:
    .ascii  "linux/arm/v6 armv6l\n"
    .equ    length, . - message

    .globl _start
    .text
_start:
    mov     r7, #4                  @ write
    mov     r0, #1
    ldr     r1, =message
    mov     r2, #length
    svc     #0
    mov     r7, #1                  @ exit
    mov     r0, #0
    svc     #0
