//! The walkthrough's own Dockerfile, on a base that no machine has to pull.

mod support;

use support::{DebianRegistry, ImageGuard, busybox_base, docker_ok, docker_run};

#[test]
fn a_run_of_another_platform_sees_its_machine() {
    let registry = DebianRegistry::start();
    let base = busybox_base(&registry.host(), &["linux/amd64", "linux/arm64", "linux/arm/v7"]);

    for (platform, machine) in
        [("linux/amd64", "x86_64"), ("linux/arm64", "aarch64"), ("linux/arm/v7", "armv7l")]
    {
        let image = format!("{}/echo-platform:{}", registry.host(), platform.replace('/', "-"));
        let _guard = ImageGuard::new(&image);
        docker_ok(&[
            "build",
            "--platform",
            platform,
            "--build-arg",
            &format!("BASE={base}"),
            "--file",
            "examples/echo-platform/Dockerfile.walkthrough",
            "--tag",
            &image,
            "examples/echo-platform",
        ]);
        let os = docker_run(&["--platform", platform, &image]);
        assert!(os.contains(machine), "{platform} was built under another machine: {os}");
    }
}
