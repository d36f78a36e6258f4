// linux/arm64: write(1, message, length), then exit(0).
    .section .rodata
message:
    .ascii  "linux/arm64 aarch64\n"
    .equ    length, . - message

    .globl _start
    .text
_start:
    mov     x8, #64                 // write
    mov     x0, #1
    adr     x1, message
    mov     x2, #length
    svc     #0
    mov     x8, #93                 // exit
    mov     x0, #0
    svc     #0
