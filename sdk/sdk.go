// Package sdk holds the libraries for plugins in other languages, to be put beside a plugin.
package sdk

import (
	"embed"
	"io/fs"
)

//go:embed python/pacewire/*.py python/pacewire/py.typed
var python embed.FS

//go:embed node/*.mjs node/lib/*.mjs node/package.json
var node embed.FS

// Python returns the files of the package pacewire for Python.
func Python() fs.FS { return below(python, "python/pacewire") }

// Node returns the files of the package pacewire for Node. What it needs of npm is not among them.
func Node() fs.FS { return below(node, "node") }

func below(files embed.FS, dir string) fs.FS {
	sub, err := fs.Sub(files, dir)
	if err != nil {
		panic(err) // dir is no path: the first test meets it
	}
	return sub
}
