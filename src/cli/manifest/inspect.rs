//! `manifest inspect`: JSON as Docker prints it, of what is declared, else of what is published.

use anyhow::Result;
use futures_util::future::try_join_all;

use super::args::Inspect;
use crate::author::declared_file::DeclarationFile;
use crate::author::edit::list;
use crate::cli::context::Context;
use crate::config::{Declaration, Image, Target};
use crate::error::{Exit, Failure};
use crate::model::manifest::Descriptor;
use crate::model::reference::Reference;
use crate::observe::{self, Inspected};
use crate::plan::{FoundImage, ObservedImage, entry};
use crate::registry::Registry;
use crate::report::docker::{self, Shown};

pub(super) async fn run(context: &Context, arguments: &Inspect) -> Result<Exit> {
    let declaration = DeclarationFile::find(context.global.config.as_deref())?.read()?;
    let registry = context.registry(Some(&declaration))?;
    let verbose = context.global.verbose;
    let text = match &arguments.references[..] {
        [list, image] => one_of_a_list(&registry, &declaration, list, image, verbose).await?,
        [reference, ..] => match list::target_of(&declaration, reference) {
            Some(target) => declared(context, &registry, target, reference, verbose).await?,
            None => published(&registry, reference, verbose).await?,
        },
        [] => String::new(),
    };
    context.print_content(&text);
    Ok(Exit::Done)
}

/// One image of a declared list.
async fn one_of_a_list(
    registry: &Registry,
    declaration: &Declaration,
    list: &Reference,
    image: &Reference,
    verbose: bool,
) -> Result<String> {
    // As for Docker, it is the image that there is no such manifest of.
    let missing = || Failure::new(format!("No such manifest: {image}"));
    let target = list::target_of(declaration, list)
        .ok_or_else(|| missing().hint(format!("{list} is not declared")))?;
    let declared = target.images.iter().find(|declared| declared.reference == *image).ok_or_else(|| {
        let declared: Vec<String> = target.images.iter().map(|image| image.reference.to_string()).collect();
        missing().hint(format!("{list} declares {}", declared.join(", ")))
    })?;
    let only = Target { images: vec![declared.clone()], ..target.clone() };
    let observed = observe::images(registry, &only).await?;
    let (found, descriptor) = found(declared, &observed[0])?;
    let shown = shown(registry, declared, found, descriptor).await?;
    Ok(if verbose { docker::verbose_image(&shown) } else { docker::image(&shown.manifest) })
}

/// A list as it is declared; as it is published where images that are declared are not there (any more).
async fn declared(
    context: &Context,
    registry: &Registry,
    target: &Target,
    list: &Reference,
    verbose: bool,
) -> Result<String> {
    let observed = observe::images(registry, target).await?;
    let images = target.images.iter().zip(&observed);
    let found = images.map(|(image, observed)| found(image, observed).map(|found| (image, found)));
    let found = match found.collect::<Result<Vec<_>>>() {
        Ok(found) => found,
        Err(error) => {
            let Ok(text) = published(registry, list, verbose).await else { return Err(error) };
            context.progress.warn(&format!("{list} is declared, but shown as it is published: {error}"));
            return Ok(text);
        }
    };
    if !verbose {
        let entries: Vec<Descriptor> = found
            .into_iter()
            .flat_map(|(_, (found, descriptor))| [vec![descriptor], found.attestations.clone()].concat())
            .collect();
        return Ok(docker::list(&entries));
    }
    let shown = found.into_iter().map(|(image, (found, entry))| shown(registry, image, found, entry));
    Ok(docker::verbose_list(&try_join_all(shown).await?))
}

/// An image that is there, with the entry that its list has for it.
fn found<'a>(image: &Image, observed: &'a ObservedImage) -> Result<(&'a FoundImage, Descriptor)> {
    match (observed, entry(image, observed)) {
        (ObservedImage::Found(found), Some(descriptor)) => Ok((found, descriptor)),
        (ObservedImage::Unusable(why), _) => Err(Failure::new(why.clone()).into()),
        _ => Err(Failure::new(format!("no such manifest: {}", image.reference)).into()),
    }
}

async fn shown(
    registry: &Registry,
    image: &Image,
    found: &FoundImage,
    descriptor: Descriptor,
) -> Result<Shown> {
    let digest = &descriptor.digest;
    let fetched = registry.get_manifest(&found.source, digest.as_str()).await?;
    let fetched =
        fetched.ok_or_else(|| Failure::new(format!("no such manifest: {}", found.source.digest(digest))))?;
    Ok(Shown { reference: image.reference.to_string(), manifest: fetched.bytes.to_vec(), descriptor })
}

/// What a registry serves.
async fn published(registry: &Registry, reference: &Reference, verbose: bool) -> Result<String> {
    let inspected = observe::inspect(registry, reference, verbose)
        .await?
        .ok_or_else(|| Failure::new(format!("no such manifest: {reference}")))?;
    match &inspected.list {
        Some(list) if !verbose => Ok(docker::list(&list.entries)),
        Some(list) => {
            let shown = list.entries.iter().map(|entry| child(&inspected, entry));
            Ok(docker::verbose_list(&shown.collect::<Result<Vec<_>>>()?))
        }
        None if !verbose => Ok(docker::image(&inspected.bytes)),
        None => {
            let mut descriptor = inspected.descriptor.clone();
            let config = inspected.images.values().find_map(|image| image.config.as_ref());
            descriptor.platform = config.map(|config| (&config.platform).into());
            let reference = reference.to_string();
            Ok(docker::verbose_image(&Shown { reference, descriptor, manifest: inspected.bytes }))
        }
    }
}

/// One image of a published list.
fn child(inspected: &Inspected, entry: &Descriptor) -> Result<Shown> {
    let list = &inspected.reference;
    let image = inspected.images.get(&entry.digest).ok_or_else(|| {
        let message = format!("{list} lists {}, which the registry does not hold as an image", entry.digest);
        Failure::new(message).hint("without --verbose the list alone is shown")
    })?;
    let reference = Reference { digest: Some(entry.digest.clone()), ..list.clone() };
    Ok(Shown { reference: reference.to_string(), descriptor: entry.clone(), manifest: image.bytes.clone() })
}
