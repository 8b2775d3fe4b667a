package identity

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/pacewire/pacewire/internal/atomicfile"
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

// write replaces the file. Once it has returned no power cut brings the old one back.
func write(path string, n note) error {
	n.Version = fileVersion
	text, err := json.MarshalIndent(n, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return atomicfile.Write(path, append(text, '\n'), 0o600)
}
