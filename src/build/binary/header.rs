//! What a program's first bytes say: machine, and the loader that it needs. Pure.

use std::fmt;

use object::read::elf::{FileHeader, ProgramHeader};
use object::read::pe::ImageNtHeaders;
use object::{Endianness, FileKind, LittleEndian, elf, pe};

use crate::model::platform::Platform;

/// A kind of processor, in the words of platforms where those have one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Machine {
    /// An architecture as Go names it, e.g. `arm64`.
    Known(&'static str),
    /// Another, by its number in ELF or PE.
    Other(u16),
}

impl Machine {
    /// The one that `platform` needs; `None` for those whose programs are neither ELF nor PE.
    pub(crate) fn of(platform: &Platform) -> Option<Self> {
        const KNOWN: &[&str] = &[
            "386", "amd64", "arm", "arm64", "loong64", "mips", "mips64", "mips64le", "mipsle", "ppc64",
            "ppc64le", "riscv64", "s390x",
        ];
        let platform = platform.normal();
        if matches!(platform.os.as_str(), "aix" | "darwin" | "js" | "plan9" | "wasip1") {
            return None;
        }
        KNOWN.iter().find(|known| **known == platform.arch).map(|known| Self::Known(known))
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(name) => f.write_str(name),
            Self::Other(number) => write!(f, "machine {number:#x}"),
        }
    }
}

/// A program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Program {
    /// What it runs on.
    pub machine: Machine,
    /// The absolute path of its loader (`PT_INTERP`), when it is dynamically linked.
    pub loader: Option<String>,
    /// Whether it is a PE file, not an ELF file.
    pub portable_executable: bool,
}

impl Program {
    /// How many bytes of a file are enough for [`Self::read`]: headers stand in front, the loader's name close behind.
    pub(crate) const ENOUGH: u64 = 64 * 1024;

    /// The program that begins with `bytes`, if it is one.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        match FileKind::parse(bytes).ok()? {
            FileKind::Elf32 => elf_program::<elf::FileHeader32<Endianness>>(bytes),
            FileKind::Elf64 => elf_program::<elf::FileHeader64<Endianness>>(bytes),
            FileKind::Pe32 => pe_program::<pe::ImageNtHeaders32>(bytes),
            FileKind::Pe64 => pe_program::<pe::ImageNtHeaders64>(bytes),
            _ => None,
        }
    }
}

fn elf_program<H: FileHeader<Endian = Endianness>>(bytes: &[u8]) -> Option<Program> {
    let header = H::parse(bytes).ok()?;
    let endian = header.endian().ok()?;
    if !matches!(header.e_type(endian), elf::ET_EXEC | elf::ET_DYN) {
        return None;
    }
    let little = endian == Endianness::Little;
    let machine = match header.e_machine(endian) {
        elf::EM_386 => Machine::Known("386"),
        elf::EM_X86_64 => Machine::Known("amd64"),
        elf::EM_ARM if little => Machine::Known("arm"),
        elf::EM_AARCH64 if little => Machine::Known("arm64"),
        elf::EM_LOONGARCH => Machine::Known("loong64"),
        elf::EM_MIPS => Machine::Known(match (header.is_type_64(), little) {
            (true, true) => "mips64le",
            (true, false) => "mips64",
            (false, true) => "mipsle",
            (false, false) => "mips",
        }),
        elf::EM_PPC64 => Machine::Known(if little { "ppc64le" } else { "ppc64" }),
        elf::EM_RISCV if header.is_type_64() => Machine::Known("riscv64"),
        elf::EM_S390 if header.is_type_64() => Machine::Known("s390x"),
        other => Machine::Other(other.0),
    };
    // Where the name lies too far behind, nothing can be said of it.
    let segments = header.program_headers(endian, bytes).unwrap_or_default();
    let loader = segments.iter().find_map(|segment| segment.interpreter(endian, bytes).ok().flatten());
    let loader = loader.map(|path| String::from_utf8_lossy(path).into_owned());
    Some(Program { machine, loader, portable_executable: false })
}

fn pe_program<H: ImageNtHeaders>(bytes: &[u8]) -> Option<Program> {
    let mut offset = pe::ImageDosHeader::parse(bytes).ok()?.nt_headers_offset().into();
    let (headers, directories) = H::parse(bytes, &mut offset).ok()?;
    // Bytecode for the common language runtime runs wherever that does, whatever the header says.
    let managed = directories
        .get(pe::IMAGE_DIRECTORY_ENTRY_COM_DESCRIPTOR)
        .is_some_and(|directory| directory.virtual_address.get(LittleEndian) != 0);
    if managed {
        return None;
    }
    let machine = match headers.file_header().machine.get(LittleEndian) {
        pe::IMAGE_FILE_MACHINE_I386 => Machine::Known("386"),
        pe::IMAGE_FILE_MACHINE_AMD64 => Machine::Known("amd64"),
        pe::IMAGE_FILE_MACHINE_ARMNT => Machine::Known("arm"),
        pe::IMAGE_FILE_MACHINE_ARM64 => Machine::Known("arm64"),
        other => Machine::Other(other.0),
    };
    Some(Program { machine, loader: None, portable_executable: true })
}
