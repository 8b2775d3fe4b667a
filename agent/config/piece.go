package config

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/pacewire/pacewire/internal/atomicfile"
)

// Piece is the text of one plugin that was loaded into a running agent, as it is kept for the next one.
type Piece struct {
	Plugin   string // also the name of its file
	Text     []byte
	Replaces bool // it takes the place of a plugin of the config
}

const (
	pieceHead     = "# Loaded into a running agent. pacewire plugin unload NAME removes it.\n"
	pieceReplaces = "# It stands in for the plugin of this name in the config.\n"
)

// Source returns the piece for Join, as it is in its file in dir.
func (p Piece) Source(dir string) Source {
	head := pieceHead
	if p.Replaces {
		head += pieceReplaces
	}
	return Source{Name: pieceFile(dir, p.Plugin), Text: slices.Concat([]byte(head), p.Text), Loaded: true, Replaces: p.Replaces}
}

func pieceFile(dir, plugin string) string { return filepath.Join(dir, plugin+".yaml") }

// Write keeps the piece in dir, in place of an older one.
func (p Piece) Write(dir string) error {
	if !pluginName.re().MatchString(p.Plugin) {
		return fmt.Errorf("keep plugin %q: no plugin has this name", p.Plugin)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("keep plugin %s: %w", p.Plugin, err)
	}
	s := p.Source(dir)
	if err := atomicfile.Write(s.Name, s.Text, 0o600); err != nil { // it can hold secrets
		return fmt.Errorf("keep plugin %s: %w", p.Plugin, err)
	}
	return nil
}

// RemovePiece forgets the piece of a plugin; one that is not there is no error.
func RemovePiece(dir, plugin string) error {
	if !pluginName.re().MatchString(plugin) {
		return fmt.Errorf("forget plugin %q: no plugin has this name", plugin)
	}
	if err := os.Remove(pieceFile(dir, plugin)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("forget plugin %s: %w", plugin, err)
	}
	return nil
}

// Pieces reads what is kept in dir, in the order of the names.
func Pieces(dir string) ([]Piece, error) {
	files, err := ConfD(dir)
	if err != nil {
		return nil, err
	}
	var list []Piece
	for _, name := range files {
		text, err := readFile(name)
		if err != nil {
			return nil, fmt.Errorf("loaded plugins: %w", err)
		}
		p := Piece{Plugin: strings.TrimSuffix(filepath.Base(name), ".yaml")}
		text = bytes.TrimPrefix(text, []byte(pieceHead))
		p.Text, p.Replaces = bytes.CutPrefix(text, []byte(pieceReplaces))
		list = append(list, p)
	}
	return list, nil
}

// Split cuts a text that was loaded into pieces of one plugin each. It looks at the form of the text only: Join checks it.
func Split(text Source) ([]Piece, error) {
	s := parsed(text, secretPattern(nil))
	if len(s.faults) > 0 {
		return nil, s.faults
	}
	var list []Piece
	for _, e := range entries(s.root) {
		if _, ok := kindOf(e.name); !ok {
			continue
		}
		for _, plugin := range entries(e.val) {
			p, err := pieceOf(e.name, plugin)
			if err != nil {
				return nil, err
			}
			p.Replaces = text.Replaces
			list = append(list, p)
		}
	}
	return list, nil
}

// pieceOf writes one plugin of a section.
func pieceOf(section string, e entry) (Piece, error) {
	plugin := mapNode([]entry{e})
	root := mapNode([]entry{set(section, plugin)})
	spellNull(root)
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := errors.Join(enc.Encode(root), enc.Close()); err != nil {
		return Piece{}, fmt.Errorf("write plugin %s: %w", e.name, err)
	}
	return Piece{Plugin: e.name, Text: b.Bytes()}, nil
}

// spellNull writes out what is null by being absent: the library would make an empty text of it.
func spellNull(n *yaml.Node) {
	if empty(n) {
		n.Value = "null"
	}
	for _, child := range n.Content {
		spellNull(child)
	}
}
