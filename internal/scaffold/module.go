package scaffold

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
)

// ModulePath is the path of pacewire as a module of Go.
const ModulePath = "github.com/pacewire/pacewire"

// goVersion is the least that pacewire is built with.
const goVersion = "1.26.0"

// A Module is the pacewire that a plugin in Go is built with: a release, or else a checkout.
type Module struct {
	Version  string // v1.2.3
	Checkout string // a folder
}

var release = regexp.MustCompile(`^v[0-9]+\.[0-9]+\.[0-9]+(-(alpha|beta|rc)[.0-9]*)?$`)

// ModuleOf returns what a program of a version, which lies in the file binary, is built with. Of a development build that is the
// checkout around the program or around the folder work, if there is one.
func ModuleOf(version, binary, work string) Module {
	if release.MatchString(version) {
		return Module{Version: version}
	}
	for _, dir := range []string{filepath.Dir(binary), work} {
		if found := checkoutAround(dir); found != "" {
			return Module{Checkout: found}
		}
	}
	return Module{}
}

// checkoutAround returns the checkout of pacewire that dir is in, "" if it is in none.
func checkoutAround(dir string) string {
	for ; ; dir = filepath.Dir(dir) {
		if IsCheckout(dir) {
			return dir
		}
		if dir == filepath.Dir(dir) {
			return ""
		}
	}
}

// IsCheckout reports whether the source of pacewire is in dir.
func IsCheckout(dir string) bool {
	text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	return err == nil && bytes.HasPrefix(text, []byte("module "+ModulePath+"\n"))
}

// known reports whether it is known where pacewire is to be had.
func (m Module) known() bool { return m.Version != "" || m.Checkout != "" }

// file returns the go.mod of a plugin.
func (m Module) file(name string) []byte {
	version, rest := m.Version, ""
	switch {
	case m.Checkout != "":
		version, rest = "v0.0.0", fmt.Sprintf("\nreplace %s => %s // a checkout\n", ModulePath, modPath(m.Checkout))
	case version == "":
		version, rest = "v0.0.0", fmt.Sprintf("\n// Say where pacewire is: go mod edit -replace %s=DIR, its checkout, or go get %s@latest, a release.\n", ModulePath, ModulePath)
	}
	return fmt.Appendf(nil, "module example.com/%s\n\ngo %s\n\nrequire %s %s\n%s", name, goVersion, ModulePath, version, rest)
}

var plainPath = regexp.MustCompile(`^[A-Za-z0-9/._~-]+$`)

// modPath writes a path as go.mod wants it.
func modPath(path string) string {
	if plainPath.MatchString(path) {
		return path
	}
	return fmt.Sprintf("%q", path)
}
