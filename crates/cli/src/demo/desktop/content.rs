use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use super::DesktopError;
use super::picture::photo;
use super::random::Random;

/// Photographs on the web pages, and their size in pixels.
const PHOTOS: u64 = 10;
const PHOTO_SIZE: (usize, usize) = (840, 560);

/// The web pages, in the order of the browser's tabs, with their titles.
pub(crate) const PAGES: [(&str, &str); 3] =
    [("article.html", "Field notes"), ("table.html", "Quarterly figures"), ("photos.html", "Photographs")];

const WORDS: [&str; 120] = [
    "about",
    "account",
    "after",
    "again",
    "agreed",
    "almost",
    "among",
    "answer",
    "archive",
    "around",
    "autumn",
    "balance",
    "because",
    "before",
    "between",
    "bridge",
    "brought",
    "budget",
    "build",
    "carefully",
    "carried",
    "centre",
    "change",
    "clear",
    "client",
    "coast",
    "common",
    "copper",
    "corner",
    "could",
    "course",
    "daily",
    "decided",
    "delivery",
    "different",
    "draft",
    "during",
    "early",
    "eastern",
    "enough",
    "evening",
    "every",
    "figures",
    "first",
    "follow",
    "forest",
    "found",
    "garden",
    "general",
    "glass",
    "handle",
    "harbour",
    "however",
    "inside",
    "island",
    "journal",
    "keeper",
    "ladder",
    "later",
    "learned",
    "letter",
    "level",
    "library",
    "light",
    "little",
    "local",
    "lower",
    "machine",
    "market",
    "matter",
    "measure",
    "meeting",
    "method",
    "morning",
    "narrow",
    "nearly",
    "never",
    "north",
    "notes",
    "number",
    "office",
    "often",
    "opened",
    "order",
    "other",
    "outside",
    "paper",
    "people",
    "perhaps",
    "pilot",
    "place",
    "plan",
    "point",
    "quarter",
    "quiet",
    "railway",
    "reading",
    "report",
    "river",
    "sample",
    "season",
    "second",
    "simple",
    "station",
    "still",
    "stone",
    "summer",
    "table",
    "through",
    "timber",
    "toward",
    "travel",
    "under",
    "until",
    "valley",
    "water",
    "weather",
    "window",
    "winter",
    "without",
];

/// Small words, which make up half of any text.
const SMALL: [&str; 16] =
    ["the", "of", "and", "to", "a", "in", "is", "it", "that", "was", "for", "on", "with", "as", "by", "we"];

/// The folder with everything the applications show.
pub(crate) struct Content {
    folder: PathBuf,
}

impl Content {
    /// Writes text, web pages and pictures; the same for the same seed.
    pub(crate) fn write(folder: &Path, seed: u64) -> Result<Self, DesktopError> {
        let content = Self { folder: folder.to_owned() };
        fs::create_dir_all(folder).map_err(DesktopError::file(folder))?;
        let mut random = Random::new(seed, 1);
        content.save("note.txt", notes(&mut random, 18).as_bytes())?;
        content.save("build.log", build_log(&mut random).as_bytes())?;
        content.save("build.sh", BUILD_SCRIPT.as_bytes())?;
        let [article, table, photos] = PAGES;
        content.save(article.0, page(article.1, &article_body(&mut random)).as_bytes())?;
        content.save(table.0, page(table.1, &table_body(&mut random)).as_bytes())?;
        content.save(photos.0, page(photos.1, &photos_body(&mut random)).as_bytes())?;
        for number in 0..PHOTOS {
            let picture = photo(PHOTO_SIZE.0, PHOTO_SIZE.1, seed.wrapping_mul(100).wrapping_add(number));
            content.save(&format!("photo{number}.bmp"), &picture.to_bmp())?;
        }
        Ok(content)
    }

    /// The path of one of its files.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn save(&self, name: &str, bytes: &[u8]) -> Result<(), DesktopError> {
        let path = self.path(name);
        fs::write(&path, bytes).map_err(DesktopError::file(&path))
    }
}

/// A sentence of about `words` words.
pub(crate) fn sentence(random: &mut Random, words: i32) -> String {
    let mut text = String::new();
    let count = random.range(words - words / 3, words + words / 3).max(2);
    for place in 0..count {
        let word = if random.percent(45) { *random.pick(&SMALL) } else { *random.pick(&WORDS) };
        if place == 0 {
            text.extend(word.chars().next().map(|first| first.to_ascii_uppercase()));
            text.push_str(word.get(1..).unwrap_or_default());
        } else {
            text.push_str(if random.percent(7) { ", " } else { " " });
            text.push_str(word);
        }
    }
    text.push('.');
    text
}

/// Sentences, separated by blanks.
fn paragraph(random: &mut Random, sentences: i32) -> String {
    (0..sentences).map(|_| sentence(random, 14)).collect::<Vec<_>>().join(" ")
}

/// Text as it stands in an editor: lines of at most 90 characters, a blank line between paragraphs.
fn notes(random: &mut Random, paragraphs: i32) -> String {
    let mut text = String::new();
    for _ in 0..paragraphs {
        let mut column = 0;
        for word in paragraph(random, 5).split(' ') {
            if column + word.len() > 89 {
                text.push('\n');
                column = 0;
            } else if column > 0 {
                text.push(' ');
            }
            text.push_str(word);
            column += word.len() + 1;
        }
        text.push_str("\n\n");
    }
    text
}

/// Prints the log line by line at the speed of a compiler.
const BUILD_SCRIPT: &str = r#"i=0
while IFS= read -r line; do
  printf '%s\n' "$line"
  i=$((i + 1))
  [ $((i % 5)) = 0 ] && sleep 0.2 || sleep 0.05
done <build.log
"#;

fn build_log(random: &mut Random) -> String {
    let mut log = String::new();
    for _ in 0..70 {
        let (one, two) = (*random.pick(&WORDS), *random.pick(&WORDS));
        let (major, minor, patch) = (random.range(0, 3), random.range(0, 20), random.range(0, 9));
        // Writing to a string cannot fail.
        let _ = write!(log, "\x1b[1;32m   Compiling\x1b[0m {one}-{two} v{major}.{minor}.{patch}");
        if random.percent(15) {
            let _ = write!(log, "\n\x1b[1;33mwarning\x1b[0m: {}", sentence(random, 7));
        }
        log.push('\n');
    }
    log
}

const STYLE: &str = "body{font-family:'DejaVu Sans',sans-serif;margin:0;color:#1f2933;background:#fff}\
header{background:#17494d;color:#fff;padding:14px 40px;font-size:22px;position:sticky;top:0}\
main{max-width:1080px;margin:20px auto;font-size:17px;line-height:1.55}\
table{border-collapse:collapse;width:100%;font-size:14px}td{border:1px solid #cbd2d9;padding:4px 8px}\
tr:nth-child(even){background:#f0f4f4}.grid{display:grid;grid-template-columns:repeat(3,1fr);gap:12px}\
.grid img{width:100%;border-radius:8px;box-shadow:0 2px 8px #0006}\
.band{height:240px;background:linear-gradient(115deg,#0b7285,#d9480f 60%,#ffd43b)}";

fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html><meta charset=utf-8><title>{title}</title><style>{STYLE}</style>\
         <header>{title}</header><main>{body}</main>\n"
    )
}

fn article_body(random: &mut Random) -> String {
    let mut body = String::new();
    for section in 0..14 {
        let _ = write!(body, "<h2>{}. {}</h2>", section + 1, sentence(random, 5).trim_end_matches('.'));
        for _ in 0..4 {
            let _ = write!(body, "<p>{}</p>", paragraph(random, 6));
        }
        if section % 4 == 2 {
            let _ = write!(body, "<img src=photo{}.bmp width=720>", section % PHOTOS);
        }
    }
    body
}

fn table_body(random: &mut Random) -> String {
    let mut body = String::from("<table>");
    for _ in 0..320 {
        let _ = write!(body, "<tr><td>{}", sentence(random, 3).trim_end_matches('.'));
        for _ in 0..8 {
            let _ = write!(body, "<td>{}", random.range(0, 99_999));
        }
    }
    body.push_str("</table>");
    body
}

fn photos_body(random: &mut Random) -> String {
    let mut body = String::from("<div class=band></div><br><div class=grid>");
    for place in 0..36 {
        let _ = write!(body, "<div><img src=photo{}.bmp>{}</div>", place * 7 % PHOTOS, sentence(random, 4));
    }
    body.push_str("</div>");
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_repeats_for_its_seed_and_names_only_files_it_has() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        Content::write(one.path(), 9).unwrap();
        Content::write(two.path(), 9).unwrap();
        for (name, title) in PAGES {
            let text = fs::read_to_string(one.path().join(name)).unwrap();
            assert_eq!(text, fs::read_to_string(two.path().join(name)).unwrap());
            assert!(text.contains(&format!("<title>{title}</title>")));
            for source in text.split("src=").skip(1) {
                let file = &source[..source.find([' ', '>']).unwrap()];
                assert!(one.path().join(file).exists(), "{name} shows {file}");
            }
        }
    }

    #[test]
    fn notes_are_lines_of_an_editor() {
        let text = notes(&mut Random::new(1, 1), 10);
        assert!(text.lines().count() > 30);
        assert!(text.lines().all(|line| line.len() <= 90 && line.is_ascii()));
    }
}
