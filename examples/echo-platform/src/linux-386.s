# linux/386: write(1, message, length), then exit(0).
    .section .rodata
message:
    .ascii  "linux/386 i686\n"
    .equ    length, . - message

    .globl _start
    .text
_start:
    mov     $4, %eax                # write
    mov     $1, %ebx
    mov     $message, %ecx
    mov     $length, %edx
    int     $0x80
    mov     $1, %eax                # exit
    xor     %ebx, %ebx
    int     $0x80
