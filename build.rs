//! The server embeds the browser app. Where it has not been built, an empty folder stands in its place, so that the
//! server still compiles; it then says how to build the app.

fn main() {
    let dist = std::path::Path::new("frontend/dist");
    if let Err(error) = std::fs::create_dir_all(dist) {
        println!("cargo::error=cannot make {}: {error}", dist.display());
    }
    println!("cargo::rerun-if-changed=frontend/dist");
    println!("cargo::rerun-if-changed=build.rs");
}
