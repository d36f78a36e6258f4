use super::header::Program;
use super::*;

/// Headers of an ELF file with one segment that names `loader`, if there is one.
fn elf(machine: u16, bits: u8, little: bool, kind: u16, loader: Option<&str>) -> Vec<u8> {
    let wide = bits == 64;
    let (header, segment) = if wide { (64, 56) } else { (52, 32) };
    let name = loader.map(|loader| format!("{loader}\0")).unwrap_or_default();
    let order = |value: u64, length: usize| {
        if little {
            value.to_le_bytes()[..length].to_vec()
        } else {
            value.to_be_bytes()[8 - length..].to_vec()
        }
    };
    let word = if wide { 8 } else { 4 };
    let mut bytes = vec![0x7f, b'E', b'L', b'F', if wide { 2 } else { 1 }, if little { 1 } else { 2 }, 1];
    bytes.resize(16, 0);
    let mut put = |value: u64, length: usize| bytes.extend(order(value, length));
    put(kind.into(), 2);
    put(machine.into(), 2);
    put(1, 4);
    put(0, word);
    put(header, word);
    put(0, word);
    put(0, 4);
    put(header, 2);
    put(segment, 2);
    put(u64::from(loader.is_some()), 2);
    put(0, 6);
    if loader.is_some() {
        put(3, 4);
        if wide {
            put(4, 4);
        }
        for value in [header + segment, 0, 0, name.len() as u64, name.len() as u64] {
            put(value, word);
        }
        if !wide {
            put(4, 4);
        }
        put(1, word);
    }
    bytes.extend(name.into_bytes());
    bytes
}

/// Headers of a PE file.
fn pe(machine: u16) -> Vec<u8> {
    let mut bytes = b"MZ".to_vec();
    bytes.resize(60, 0);
    bytes.extend(64u32.to_le_bytes());
    bytes.extend(b"PE\0\0");
    bytes.extend(machine.to_le_bytes());
    bytes.extend([0; 14]);
    bytes.extend(240u16.to_le_bytes());
    bytes.extend([0; 2]);
    let mut optional = 0x20bu16.to_le_bytes().to_vec();
    optional.resize(108, 0);
    optional.extend(16u32.to_le_bytes());
    optional.resize(240, 0);
    bytes.extend(optional);
    bytes
}

enum Entry<'a> {
    File(&'a str, u32, Vec<u8>),
    Link(&'a str, &'a str),
    HardLink(&'a str, &'a str),
    Folder(&'a str),
}

fn layer(entries: &[Entry<'_>]) -> Layer {
    let mut archive = tar::Builder::new(Vec::new());
    for entry in entries {
        let mut header = tar::Header::new_gnu();
        header.set_size(0);
        header.set_mode(0o755);
        match entry {
            Entry::File(path, mode, bytes) => {
                header.set_size(bytes.len() as u64);
                header.set_mode(*mode);
                archive.append_data(&mut header, path, &bytes[..]).unwrap();
            }
            Entry::Link(path, target) => {
                header.set_entry_type(tar::EntryType::Symlink);
                archive.append_link(&mut header, path, target).unwrap();
            }
            Entry::HardLink(path, target) => {
                header.set_entry_type(tar::EntryType::Link);
                archive.append_link(&mut header, path, target).unwrap();
            }
            Entry::Folder(path) => {
                header.set_entry_type(tar::EntryType::Directory);
                archive.append_data(&mut header, path, &[][..]).unwrap();
            }
        }
    }
    Layer::read(&archive.into_inner().unwrap()[..]).unwrap()
}

fn findings(layers: &[Layer], given: usize, platform: &str) -> Vec<String> {
    let layers: Vec<Option<Layer>> = layers.iter().cloned().map(Some).collect();
    check(&layers, given, &platform.parse().unwrap()).iter().map(Finding::to_string).collect()
}

#[test]
fn below_a_layer_that_cannot_be_read_nothing_is_certain() {
    let app = |path| Some(layer(&[Entry::File(path, 0o755, program(62))]));
    let dynamic = Some(layer(&[Entry::File("c", 0o755, elf(183, 64, true, 3, Some("/lib/ld.so")))]));
    let found = |layers: &[Option<Layer>]| check(layers, 0, &"linux/arm64".parse().unwrap()).len();
    assert_eq!(found(&[app("a"), app("b"), dynamic.clone()]), 3);
    assert_eq!(found(&[app("a"), None, app("b"), dynamic.clone()]), 1);
    assert_eq!(found(&[None, dynamic]), 0);
}

fn program(machine: u16) -> Vec<u8> {
    elf(machine, 64, true, 2, None)
}

#[test]
fn every_platform_knows_its_own_programs_alone() {
    let programs = [
        ("linux/amd64", elf(62, 64, true, 2, None)),
        ("linux/386", elf(3, 32, true, 2, None)),
        ("linux/arm64", elf(183, 64, true, 3, None)),
        ("linux/arm/v7", elf(40, 32, true, 2, None)),
        ("linux/ppc64le", elf(21, 64, true, 3, None)),
        ("linux/ppc64", elf(21, 64, false, 3, None)),
        ("linux/s390x", elf(22, 64, false, 3, None)),
        ("linux/riscv64", elf(243, 64, true, 3, None)),
        ("linux/loong64", elf(258, 64, true, 3, None)),
        ("linux/mips64le", elf(8, 64, true, 2, None)),
        ("linux/mips", elf(8, 32, false, 2, None)),
        ("windows/amd64", pe(0x8664)),
        ("windows/arm64", pe(0xaa64)),
    ];
    for (platform, _) in &programs {
        for (other, bytes) in &programs {
            let layers = [layer(&[Entry::File("app", 0o755, bytes.clone())])];
            let os = |platform: &str| platform.split('/').next().unwrap().to_owned();
            let wrong = platform != other && os(platform) == os(other);
            assert_eq!(!findings(&layers, 0, platform).is_empty(), wrong, "{other} in {platform}");
        }
    }
    let layers = [layer(&[Entry::File("usr/bin/app", 0o755, program(62))])];
    assert_eq!(findings(&layers, 0, "linux/arm64"), ["/usr/bin/app is a program for amd64, expected arm64"]);
    let layers = [layer(&[Entry::File("app", 0o755, program(247))])];
    assert_eq!(findings(&layers, 0, "linux/arm64"), ["/app is a program for machine 0xf7, expected arm64"]);
}

#[test]
fn only_programs_are_judged() {
    for (mode, bytes) in [
        (0o644, program(62)),
        (0o755, elf(62, 64, true, 1, None)),
        (0o755, b"#!/bin/sh\n".to_vec()),
        (0o755, b"\x7fELF".to_vec()),
        (0o755, program(62)[..20].to_vec()),
        (0o755, b"MZ".to_vec()),
        (0o755, Vec::new()),
    ] {
        let layers = [layer(&[Entry::File("app", mode, bytes)])];
        assert!(findings(&layers, 0, "linux/arm64").is_empty());
    }
}

#[test]
fn a_base_is_not_judged_and_layers_lie_upon_each_other() {
    let base = layer(&[
        Entry::Folder("bin"),
        Entry::File("bin/a", 0o755, program(62)),
        Entry::File("bin/b", 0o755, program(62)),
    ]);
    let none: [&str; 0] = [];
    assert_eq!(findings(std::slice::from_ref(&base), 1, "linux/arm64"), none);
    let of = |entries: &[Entry<'_>]| findings(&[base.clone(), layer(entries)], 0, "linux/arm64").len();
    assert_eq!(of(&[]), 2);
    assert_eq!(of(&[Entry::File("bin/.wh.a", 0o644, Vec::new())]), 1);
    assert_eq!(of(&[Entry::File("bin/.wh..wh..opq", 0o644, Vec::new())]), 0);
    assert_eq!(of(&[Entry::File(".wh.bin", 0o644, Vec::new()), Entry::File("bin/c", 0o755, program(62))]), 1);
    assert_eq!(of(&[Entry::File("bin/a", 0o755, program(183))]), 1);
    assert_eq!(of(&[Entry::Link("bin", "usr/bin")]), 0);
    assert_eq!(of(&[Entry::HardLink("bin/c", "bin/a")]), 3);
}

#[test]
fn a_loader_is_looked_for_in_the_whole_image() {
    let app = || Entry::File("app", 0o755, elf(62, 64, true, 3, Some("/lib64/ld-linux-x86-64.so.2")));
    let alone = [layer(&[app()])];
    assert_eq!(
        findings(&alone, 0, "linux/amd64"),
        ["/app is dynamically linked and needs /lib64/ld-linux-x86-64.so.2, which the image does not have"]
    );
    let base = layer(&[
        Entry::Folder("usr/lib/x86_64-linux-gnu"),
        Entry::Link("lib64", "usr/lib64"),
        Entry::Link("usr/lib64/ld-linux-x86-64.so.2", "../lib/x86_64-linux-gnu/ld.so"),
        Entry::File("usr/lib/x86_64-linux-gnu/ld.so", 0o755, elf(62, 64, true, 3, None)),
    ]);
    assert!(findings(&[base.clone(), layer(&[app()])], 1, "linux/amd64").is_empty());
    let without = layer(&[app(), Entry::File("usr/lib/.wh.x86_64-linux-gnu", 0o644, Vec::new())]);
    assert_eq!(findings(&[base, without], 1, "linux/amd64").len(), 1);
    let loop_of_links = layer(&[app(), Entry::Link("lib64", "/lib64")]);
    assert_eq!(findings(&[loop_of_links], 0, "linux/amd64").len(), 1);
}

#[test]
fn this_very_program_is_one() {
    let bytes = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    let program = Program::read(&bytes[..bytes.len().min(Program::ENOUGH as usize)]).unwrap();
    assert_eq!(program.machine, Machine::of(&Platform::new("linux", std::env::consts::ARCH)).unwrap());
    assert!(program.loader.is_some());
}
