package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/pacewire/pacewire/agent/config"
)

// What a process has left that was killed the next one removes; what another has that lives, and what is not ours, stays.
func TestCopiesOfKilledProcess(t *testing.T) {
	temp, dirs := t.TempDir(), t.TempDir()
	t.Setenv("TMPDIR", temp)
	script := "#!/bin/sh\necho '{\"kind\":\"collector\",\"program\":\"fan\",\"api\":1}'\n"
	if err := os.WriteFile(filepath.Join(dirs, "fan"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	find := func() *finder {
		t.Helper()
		f := newFinder()
		f.programs(config.Discovery{Dirs: []string{dirs}})
		if f.copies == nil {
			t.Fatal("there is no folder for copies")
		}
		t.Cleanup(f.close)
		return f
	}
	f := func(want ...*finder) {
		t.Helper()
		var folders []string
		for _, w := range want {
			folders = append(folders, w.copies.dir)
		}
		slices.Sort(folders)
		if left, err := filepath.Glob(filepath.Join(temp, "*")); err != nil || !slices.Equal(left, folders) {
			t.Errorf("%q are left, %v; want %q", left, err, folders)
		}
	}
	first, killed := find(), find()
	f(first, killed)
	copied, err := filepath.Glob(filepath.Join(killed.copies.dir, scratchCopies, "*", "fan"))
	if err != nil || len(copied) != 1 {
		t.Errorf("copies %q, %v: the script was not copied", copied, err)
	}
	killed.copies.lock.Close() // as the kernel does
	second := find()
	f(first, second)
	first.close()
	f(second)
	second.close()
	f()
}

func TestScratchSpares(t *testing.T) {
	temp, elsewhere := t.TempDir(), t.TempDir()
	t.Setenv("TMPDIR", temp)
	folder := func(path ...string) string {
		t.Helper()
		name := filepath.Join(path...)
		if err := os.MkdirAll(name, 0o700); err != nil {
			t.Fatal(err)
		}
		return name
	}
	mine := folder(temp, "pacewire-mine", scratchCopies)              // has another name
	full := filepath.Dir(folder(temp, scratchPrefix+"full", "notes")) // has something else in it
	gone := filepath.Dir(folder(temp, scratchPrefix+"1", scratchCopies, "sum"))
	aim := folder(elsewhere, scratchCopies)
	link, file := filepath.Join(temp, scratchPrefix+"link"), filepath.Join(temp, scratchPrefix+"file")
	if err := os.Symlink(elsewhere, link); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	all := []string{mine, full, link, file, aim}
	if os.Geteuid() == 0 { // who may take it away must not, if it is another's
		foreign := folder(temp, scratchPrefix+"foreign")
		if err := os.Chown(foreign, 65534, 65534); err != nil {
			t.Fatal(err)
		}
		all = append(all, foreign)
	}
	s, err := newScratch()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(all, s.dir) {
		if _, err := os.Stat(name); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(gone); err == nil {
		t.Errorf("%s is there", gone)
	}
	if _, err := take(s.dir); err == nil {
		t.Error("another process may take it")
	}
	s.remove()
	if _, err := os.Stat(s.dir); err == nil {
		t.Errorf("%s is there", s.dir)
	}
	t.Setenv("TMPDIR", file)
	if _, err := newScratch(); err == nil {
		t.Error("a file is a folder")
	}
}
