package scrape

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
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

	missed map[string]bool // patterns of which was told that they find nothing
}

// A file is one with groups of targets.
type file struct {
	text   []byte
	groups []Group // of the last text that could be read
	fault  string  // that was logged
}

func newList(cfg Config, env plugin.Env) (*list, error) {
	if cfg.Job == "" {
		cfg.Job = env.Name
	}
	rules, err := compile("relabel", cfg.Relabel)
	return &list{cfg: cfg, rules: rules, log: env.Log, files: map[string]*file{}, missed: map[string]bool{}}, err
}

// targets returns the targets there are now, each once.
func (l *list) targets() []*target {
	var all []*target
	seen := map[string]bool{}
	add := func(g Group, path string) {
		for _, address := range g.Targets {
			more := g.Labels
			if path != "" {
				more = withFile(more, path)
			}
			t, ok, err := newTarget(l.cfg, l.rules, address, more)
			if err != nil {
				l.log.Warn("target is passed over", "error", err)
			}
			if err == nil && ok && !seen[t.key] {
				seen[t.key] = true
				all = append(all, t)
			}
		}
	}
	add(Group{Targets: l.cfg.Targets}, "")
	for _, g := range l.cfg.Groups {
		add(g, "")
	}
	l.read()
	for _, path := range slices.Sorted(maps.Keys(l.files)) {
		for _, g := range l.files[path].groups {
			add(g, path)
		}
	}
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
		if len(paths) == 0 && !l.missed[glob] {
			l.missed[glob] = true
			l.log.Warn("no file of targets is called so yet", "target_files", glob)
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
		f.read(path, l.log)
	}
}

func (f *file) read(path string, log *slog.Logger) {
	text, err := readFile(path)
	if err == nil && f.groups != nil && bytes.Equal(text, f.text) {
		f.fault = ""
		return
	}
	var groups []Group
	if err == nil {
		groups, err = parseGroups(path, text)
	}
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) { // between a glob and a read
			return
		}
		if f.fault != err.Error() {
			f.fault = err.Error()
			log.Warn("file of targets is not read: those it had stay", "error", err)
		}
		return
	}
	f.text, f.groups, f.fault = text, groups, ""
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

// parseGroups reads groups from the text of a file: JSON where its name says so, else YAML.
func parseGroups(path string, text []byte) ([]Group, error) {
	groups := []Group{}
	var err error
	if strings.HasSuffix(path, ".json") {
		err = json.Unmarshal(text, &groups)
	} else {
		err = yaml.Unmarshal(text, &groups)
	}
	if err != nil {
		return nil, fmt.Errorf("parse %s: want a list of {targets: [...], labels: {...}}: %w", path, err)
	}
	return groups, nil
}
