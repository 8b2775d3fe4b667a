package identity

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

const (
	fileVersion = 1
	mostFile    = 64 << 10 // bytes
	mostFormer  = 16       // ids before that are noted
)

// A note is what the file says.
type note struct {
	Version     int      `json:"v"`
	ID          string   `json:"id"`
	NameAtFirst string   `json:"name_at_first"`
	Gen         uint64   `json:"gen"`
	Machine     Machine  `json:"machine"`
	Former      []former `json:"former,omitempty"`
}

// former is an id that this folder had before.
type former struct {
	ID    string `json:"id"`
	Until string `json:"until"`
}

// errTruncated is why a file cannot be read of which a part is missing.
var errTruncated = errors.New("file is not whole")

// read reads the file at path. The note is empty with any error.
func read(path string) (note, error) {
	f, err := os.Open(path)
	if err != nil {
		return note{}, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, mostFile+1))
	if err != nil {
		return note{}, err
	}
	n, err := parse(text)
	if err != nil {
		return note{}, fmt.Errorf("%s: %w", path, err)
	}
	return n, nil
}

// parse reads the text of the file.
func parse(text []byte) (note, error) {
	if len(text) > mostFile {
		return note{}, fmt.Errorf("more than %d bytes", mostFile)
	}
	text = bytes.TrimRight(text, "\x00 \n") // some file systems leave zeroes where data were not written
	if len(text) == 0 {
		return note{}, errTruncated
	}
	var n note
	d := json.NewDecoder(bytes.NewReader(text))
	err := d.Decode(&n)
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return note{}, errTruncated
	case err != nil:
		return note{}, err
	case d.More():
		return note{}, errors.New("something follows its end")
	}
	return n, n.check()
}

// check refuses what an agent of this version would not have written.
func (n note) check() error {
	if n.Version != fileVersion {
		return fmt.Errorf("version %d, but this agent knows only %d", n.Version, fileVersion)
	}
	if err := checkID(n.ID); err != nil {
		return fmt.Errorf("id: %w", err)
	}
	if n.Gen > highestGen {
		return fmt.Errorf("gen: %d, at most %d is taken", n.Gen, uint64(highestGen))
	}
	return n.Machine.check()
}

// write replaces the file in one step: a power cut leaves the old one or the new one, and once write has returned the new one.
func write(path string, n note) error {
	n.Version = fileVersion
	text, err := json.MarshalIndent(n, "", "  ")
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	fresh := path + ".new"
	if err := writeSynced(fresh, append(text, '\n')); err != nil {
		return err
	}
	if err := os.Rename(fresh, path); err != nil {
		return err
	}
	return syncDir(dir)
}

// writeSynced writes a file that is on the disk when it returns.
func writeSynced(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Sync(), f.Close())
}

// syncDir makes what was renamed in a folder outlive a power cut.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
