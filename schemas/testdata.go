package schemas

import (
	"embed"
	"io/fs"
)

//go:embed testdata
var testdata embed.FS

// Testdata returns the golden messages, good and bad: control, batch and others, with what each holds in cases.json.
func Testdata() fs.FS {
	dir, _ := fs.Sub(testdata, "testdata") // a good name
	return dir
}
