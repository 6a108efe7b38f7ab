//! Names of files: which are images, which can be ignored, and how paths are normalised.

/// The extensions of image formats that can be decoded.
const IMAGES: [&str; 13] =
    ["jpg", "jpeg", "jpe", "jfif", "jif", "png", "ppm", "pgm", "pbm", "pnm", "bmp", "dib", "webp"];

/// The extensions of other image formats.
const OTHER_IMAGES: [&str; 14] =
    ["gif", "tif", "tiff", "heic", "heif", "avif", "jp2", "j2k", "jxl", "tga", "ras", "psd", "svg", "ico"];

/// The extension of a path in lower case, without its dot; none if the only dot is the first character of the file name.
pub fn ending(path: &str) -> Option<String> {
    let file = path.rsplit('/').next().unwrap_or(path);
    let (stem, ending) = file.rsplit_once('.')?;
    (!stem.is_empty() && !ending.is_empty()).then(|| ending.to_lowercase())
}

/// Whether a file can be decoded, by its extension.
pub fn is_image(path: &str) -> bool {
    ending(path).is_some_and(|e| IMAGES.contains(&e.as_str()))
}

/// Whether a file is an image in any format, by its extension.
pub fn is_any_image(path: &str) -> bool {
    ending(path).is_some_and(|e| IMAGES.contains(&e.as_str()) || OTHER_IMAGES.contains(&e.as_str()))
}

/// A path without its extension, if that is an image's: `Ann/Ann.B_0001.jpg` becomes `Ann/Ann.B_0001`.
pub fn stem(path: &str) -> &str {
    if !is_any_image(path) {
        return path;
    }
    path.rsplit_once('.').map_or(path, |(stem, _)| stem)
}

/// Whether a file or folder was created by a file manager or is hidden, and is no part of a data set: `__MACOSX`, `Thumbs.db`,
/// `desktop.ini` and the like.
pub fn is_litter(name: &str) -> bool {
    const LITTER: [&str; 8] = [
        "__macosx",
        "thumbs.db",
        "ehthumbs.db",
        "desktop.ini",
        "icon\r",
        "@eadir",
        "$recycle.bin",
        "system volume information",
    ];
    name.starts_with('.') || LITTER.contains(&name.to_lowercase().as_str())
}

/// Normalises a path from a list: `/` between its parts, and no `./` before it.
pub fn tidy(path: &str) -> String {
    let path = path.replace('\\', "/");
    let mut path = path.as_str();
    while let Some(rest) = path.strip_prefix("./") {
        path = rest.trim_start_matches('/');
    }
    path.to_owned()
}

/// The parts of a path, without `.` and `..`.
pub fn parts(path: &str) -> impl DoubleEndedIterator<Item = &str> {
    path.split('/').filter(|p| !p.is_empty() && *p != "." && *p != "..")
}

/// The folder that a test set of this name is written to: what is neither letter, digit nor `-_.` becomes `-`; `test` if
/// nothing else is left.
pub fn set_folder(name: &str) -> String {
    let safe: String =
        name.chars().map(|c| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '-' }).collect();
    match safe.trim_matches(['-', '.']) {
        "" => "test".to_owned(),
        safe => safe.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_are_those_of_the_files_name() {
        assert_eq!(ending("a.b/c"), None);
        assert_eq!(ending("a/.hidden"), None);
        assert_eq!(ending("a/B.JPG").as_deref(), Some("jpg"));
        assert!(
            is_image("m.01/m.01_0001.JPG") && is_image("x.jfif") && !is_image("x.gif") && !is_image("m.01")
        );
        assert!(is_any_image("x.GIF") && !is_any_image("John"));
        assert_eq!((stem("a/b.c.jpg"), stem("m.01"), stem("a.b/c")), ("a/b.c", "m.01", "a.b/c"));
    }

    #[test]
    fn what_file_managers_leave_is_no_data() {
        for name in
            [".DS_Store", "._01.jpg", "__MACOSX", "Thumbs.db", "thumbs.db", "desktop.ini", "Desktop.ini"]
        {
            assert!(is_litter(name), "{name}");
        }
        assert!(!is_litter("Thumbs") && !is_litter("01"));
    }

    #[test]
    fn backslashes_and_a_leading_dot_are_the_same_path() {
        assert_eq!(tidy(".\\Ann\\1.jpg"), "Ann/1.jpg");
        assert_eq!(tidy("././/Ann/1.jpg"), "Ann/1.jpg");
        assert_eq!(tidy("../Ann/1.jpg"), "../Ann/1.jpg");
    }

    #[test]
    fn any_name_is_made_one_of_a_folder() {
        assert_eq!(set_folder("CFP-FP 1.0"), "CFP-FP-1.0");
        assert_eq!(set_folder("../a/b."), "a-b");
        assert_eq!(set_folder(".."), "test");
    }
}
