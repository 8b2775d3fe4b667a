package scrape

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/pacewire/pacewire/plugin"
)

// maxFile is the size above which a file of targets is not what it should be.
const maxFile = 16 << 20

// A list is the targets of a config, and of the files it names.
type list struct {
	cfg   Config
	rules []rule
	log   *slog.Logger
	files map[string]*file // by path

	faults faults
}

// A file is one with groups of targets.
type file struct {
	text   []byte
	groups []Group // of the last text that could be read
}

func newList(cfg Config, env plugin.Env) (*list, error) {
	if cfg.Job == "" {
		cfg.Job = env.Name
	}
	rules, err := compile("relabel", cfg.Relabel)
	return &list{cfg: cfg, rules: rules, log: env.Log, files: map[string]*file{}}, err
}

// targets returns the targets there are now, each once.
func (l *list) targets() []*target {
	l.read()
	groups := append([]Group{{Targets: l.cfg.Targets}}, l.cfg.Groups...)
	for _, path := range slices.Sorted(maps.Keys(l.files)) {
		for _, g := range l.files[path].groups {
			groups = append(groups, Group{Targets: g.Targets, Labels: withFile(g.Labels, path)})
		}
	}
	var all []*target
	seen := map[string]bool{}
	for _, g := range groups {
		for _, address := range g.Targets {
			t, ok, err := newTarget(l.cfg, l.rules, address, g.Labels)
			if err != nil {
				if l.faults.add(err) {
					l.log.Warn("target is passed over", "error", err)
				}
				continue
			}
			if ok && !seen[t.key] {
				seen[t.key] = true
				all = append(all, t)
			}
		}
	}
	l.faults.turn()
	return all
}

func withFile(labels map[string]string, path string) map[string]string {
	more := map[string]string{fileLabel: path}
	maps.Copy(more, labels)
	return more
}

// read reads the files anew. One that cannot be read keeps the targets it had; one that is gone has none.
func (l *list) read() {
	there := map[string]bool{}
	for _, glob := range l.cfg.TargetFiles {
		paths, _ := filepath.Glob(glob) // Validate has tried it
		if none := absolute(glob); len(paths) == 0 && l.faults.add(errors.New(none)) {
			l.log.Warn("no file of targets is called so yet", "target_files", none)
		}
		for _, path := range paths {
			there[path] = true
		}
	}
	for path := range l.files {
		if !there[path] {
			delete(l.files, path)
			l.log.Info("file of targets is gone", "path", path)
		}
	}
	for path := range there {
		f := l.files[path]
		if f == nil {
			f = &file{}
			l.files[path] = f
		}
		if err := f.read(path); err != nil && l.faults.add(err) {
			l.log.Warn("file of targets is not read: those it had stay", "error", err)
		}
	}
}

func (f *file) read(path string) error {
	text, err := readFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist): // it was there a moment ago
		return nil
	case err != nil:
		return err
	case f.groups != nil && bytes.Equal(text, f.text):
		return nil
	}
	groups, err := parseGroups(path, text)
	if err == nil {
		f.text, f.groups = text, groups
	}
	return err
}

// absolute returns a path as it is meant here.
func absolute(path string) string {
	if whole, err := filepath.Abs(path); err == nil {
		return whole
	}
	return path
}

func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return nil, fmt.Errorf("read %s: want a file of at most %d MiB", path, maxFile>>20)
	}
	return os.ReadFile(path)
}

// parseGroups reads groups from the text of a file: JSON where its name says so, else YAML. A file that is empty is just being
// written by somebody who does not rename.
func parseGroups(path string, text []byte) ([]Group, error) {
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, fmt.Errorf("parse %s: it is empty: write [] where there are to be no targets", path)
	}
	groups, err := []Group{}, error(nil)
	if strings.HasSuffix(path, ".json") {
		err = parseJSON(text, &groups)
	} else {
		d := yaml.NewDecoder(bytes.NewReader(text))
		d.KnownFields(true)
		err = d.Decode(&groups)
	}
	if err != nil {
		return nil, fmt.Errorf("parse %s: want a list of {targets: [...], labels: {...}}: %w", path, err)
	}
	return groups, nil
}

func parseJSON(text []byte, groups *[]Group) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(groups); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something stands behind the list")
	}
	return nil
}
