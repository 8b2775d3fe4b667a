package packages

import (
	"fmt"
	"iter"
	"os/exec"
	"path"
	"slices"
	"strings"

	"github.com/pacewire/pacewire/internal/machine"
)

// A manager is a program that installs packages, and where it notes them.
type manager struct {
	name  string
	files []string // one of them is there where the manager is
	read  func(root machine.Dir) iter.Seq2[item, error]
}

func managers() []manager {
	return []manager{
		{"apk", apkFiles(), readApk},
		{"dpkg", []string{dpkgStatus, dpkgFolder}, readDpkg},
		{"pacman", []string{pacmanFolder}, readPacman},
		{"rpm", rpmFiles(), readRPM},
	}
}

// here reports whether the machine has the manager.
func (m manager) here(root machine.Dir) bool { return slices.ContainsFunc(m.files, root.Has) }

const (
	maxDatabase = 64 << 20 // bytes of a file that holds all packages

	dpkgStatus   = "var/lib/dpkg/status"
	dpkgFolder   = "var/lib/dpkg/status.d" // of images without dpkg, a file for each package
	pacmanFolder = "var/lib/pacman/local"
)

func apkFiles() []string { return []string{"lib/apk/db/installed", "usr/lib/apk/db/installed"} }

func rpmFiles() (files []string) {
	for _, folder := range []string{"var/lib/rpm/", "usr/lib/sysimage/rpm/"} {
		for _, file := range []string{"rpmdb.sqlite", "Packages.db", "Packages"} {
			files = append(files, folder+file)
		}
	}
	return files
}

// keys are the words before the lines of a package that we want. Where one says the state, it is installed or is left out.
type keys struct{ name, version, arch, state string }

func readDpkg(root machine.Dir) iter.Seq2[item, error] {
	k := keys{"Package:", "Version:", "Architecture:", "Status:"}
	return func(yield func(item, error) bool) {
		if root.Has(dpkgStatus) && !paragraphs(root, dpkgStatus, k, yield) || !root.Has(dpkgFolder) {
			return
		}
		names, err := root.Names(dpkgFolder)
		if err != nil && !yield(item{}, err) {
			return
		}
		for _, name := range names {
			if !strings.HasSuffix(name, ".md5sums") && !paragraphs(root, path.Join(dpkgFolder, name), k, yield) {
				return
			}
		}
	}
}

func readApk(root machine.Dir) iter.Seq2[item, error] {
	return func(yield func(item, error) bool) {
		for _, file := range apkFiles() {
			if root.Has(file) {
				paragraphs(root, file, keys{name: "P:", version: "V:", arch: "A:"}, yield)
				return // the other one is a link to it
			}
		}
	}
}

// paragraphs yields the packages of a file in which a blank line ends each. It reports whether more are wanted.
func paragraphs(root machine.Dir, file string, k keys, yield func(item, error) bool) bool {
	it, installed := item{}, true
	end := func() bool {
		done := it
		it = item{}
		was := installed
		installed = true
		return done[0] == "" || !was || yield(done, nil)
	}
	for line, err := range root.Lines(file, maxDatabase) {
		switch {
		case err != nil:
			return end() && yield(item{}, err)
		case line == "":
			if !end() {
				return false
			}
		case k.state != "" && strings.HasPrefix(line, k.state):
			installed = strings.HasSuffix(line, " installed")
		default:
			k.take(&it, line)
		}
	}
	return end()
}

// take puts what a line says of a package into it.
func (k keys) take(it *item, line string) {
	for i, key := range []string{k.name, k.version, k.arch} {
		if value, ok := strings.CutPrefix(line, key); ok {
			it[i] = strings.TrimSpace(value)
			return
		}
	}
}

// readPacman reads a folder for each package, with a file whose values follow lines such as %NAME%.
func readPacman(root machine.Dir) iter.Seq2[item, error] {
	return func(yield func(item, error) bool) {
		names, err := root.Names(pacmanFolder)
		if err != nil && !yield(item{}, err) {
			return
		}
		for _, name := range names {
			file := path.Join(pacmanFolder, name, "desc")
			if !root.Has(file) {
				continue
			}
			it, err := readDesc(root, file)
			if (it[0] != "" || err != nil) && !yield(it, err) {
				return
			}
		}
	}
}

func readDesc(root machine.Dir, file string) (it item, err error) {
	at := -1
	for line, err := range root.Lines(file, 0) {
		if err != nil {
			return item{}, err
		}
		if at >= 0 {
			it[at] = line
		}
		at = slices.Index([]string{"%NAME%", "%VERSION%", "%ARCH%"}, line)
	}
	return it, nil
}

// readRPM says that it cannot: the database is a format of rpm's own within that of another database.
func readRPM(root machine.Dir) iter.Seq2[item, error] {
	return func(yield func(item, error) bool) {
		for _, file := range rpmFiles() {
			if root.Has(file) {
				yield(item{}, needsRPM(path.Join(string(root), file)))
				return
			}
		}
	}
}

// needsRPM is the path of a database that only another program can read.
type needsRPM string

func (n needsRPM) Error() string {
	return fmt.Sprintf("read %s: only the program rpm can, and this plugin runs none: list these packages with a plugin of your own", string(n))
}

// Unwrap gives the error its class: a program is needed.
func (needsRPM) Unwrap() error { return exec.ErrNotFound }
