// Package textfile collects the samples that other programs leave in a folder of text files.
package textfile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/pacewire/pacewire/collector"
	"github.com/pacewire/pacewire/internal/decode/prometheus"
	"github.com/pacewire/pacewire/internal/decode/report"
	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/telemetry"
)

// Config is what an operator may set.
type Config struct {
	Folders plugin.Strings `json:"folders" jsonschema:"where the files are, one folder or several; globs"`
	MaxFile int            `json:"max_file_bytes" jsonschema:"a larger file is refused"`
}

// Define describes the textfile collector.
func Define() plugin.Definition {
	return collector.Define(collector.Spec[Config]{
		Program: "textfile",
		Summary: "Samples that other programs leave in a folder of *.prom files.",
		Config:  Config{Folders: plugin.Strings{"/var/lib/prometheus/node-exporter"}, MaxFile: 16 << 20},
		Catalog: []telemetry.Desc{{
			Series: "textfile", Help: "What became of a file.", Tags: map[string]string{"file": "its path"},
			Fields: map[string]string{"age": "s", "samples": "samples", "refused": "samples", "error": "why nothing of it counts"},
			Types:  map[string]string{"samples": "i", "refused": "i", "error": "s"},
		}},
		New: New,
	})
}

// Validate reports what is wrong with c.
func (c Config) Validate() error {
	var faults []error
	if len(c.Folders) == 0 {
		faults = append(faults, errors.New("folders is empty: name one, such as /var/lib/prometheus/node-exporter"))
	}
	for _, folder := range c.Folders {
		if _, err := filepath.Match(folder, ""); folder == "" || err != nil {
			faults = append(faults, fmt.Errorf("folders %q: want a path, in which a bracket ends or has \\ before it", folder))
		}
	}
	if c.MaxFile < 1 {
		faults = append(faults, fmt.Errorf("max_file_bytes %d: want 1 or more", c.MaxFile))
	}
	return errors.Join(faults...)
}

// A folder reads the files of all folders.
type folder struct {
	cfg     Config
	log     *slog.Logger
	clock   func() time.Time // that the ages of files are told by
	decoder prometheus.Decoder
	faults  map[string]string // by path, those that were logged
}

var _ collector.Collector = (*folder)(nil)

// New returns the collector of the files in the folders of cfg.
func New(_ context.Context, cfg Config, env plugin.Env) (collector.Collector, error) {
	return &folder{cfg: cfg, log: env.Log, clock: time.Now, faults: map[string]string{}}, nil
}

// Collect adds the samples of all files, and how old each is. A file that is at fault says so itself: the others count.
func (f *folder) Collect(ctx context.Context, out *telemetry.Batch) error {
	var faults []error
	there := map[string]bool{}
	for _, glob := range f.cfg.Folders {
		paths, err := files(glob)
		if err != nil {
			faults = append(faults, err)
		}
		for _, path := range paths {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			there[path] = true
			f.file(out, path)
		}
	}
	maps.DeleteFunc(f.faults, func(path, _ string) bool { return !there[path] })
	return errors.Join(faults...)
}

// files returns the paths of the *.prom files in the folders that glob matches. A folder that is named without a glob has to be there.
func files(glob string) ([]string, error) {
	folders, err := filepath.Glob(glob)
	if err != nil {
		return nil, err
	}
	if len(folders) == 0 && !strings.ContainsAny(glob, `*?[\`) {
		return nil, fmt.Errorf("folders %q: no folder is called so: make it, or name another one; of what is in it files *.prom are read", glob)
	}
	var paths []string
	var faults []error
	for _, folder := range folders {
		entries, err := os.ReadDir(folder)
		if errors.Is(err, syscall.ENOTDIR) {
			err = fmt.Errorf("folders %q: %s is a file: name its folder, of which files *.prom are read", glob, folder)
		}
		if err != nil {
			faults = append(faults, err)
		}
		for _, e := range entries {
			if name := e.Name(); strings.HasSuffix(name, ".prom") && name[0] != '.' { // half-written files like to be hidden
				paths = append(paths, filepath.Join(folder, name))
			}
		}
	}
	return paths, errors.Join(faults...)
}

// file adds what there is to say about a file, and its samples.
func (f *folder) file(out *telemetry.Batch, path string) {
	text, changed, err := f.read(out, path)
	if errors.Is(err, os.ErrNotExist) { // since the folder was read
		return
	}
	fields := telemetry.Fields{}
	if !changed.IsZero() {
		fields["age"] = f.clock().Sub(changed).Seconds()
	}
	var r report.Report
	if err == nil {
		r, err = f.decode(out, text)
		r.Into(out.Drops())
		fields["samples"], fields["refused"] = r.Points, r.Total()
	}
	if err != nil {
		fields["error"] = err.Error()
	}
	out.Add("textfile", fields, telemetry.Tags{"file": path})
	f.note(path, errors.Join(err, r.First))
}

var errNoFile = errors.New("not a file")

// read returns the text of a file, which lives as long as out, and when it was changed.
func (f *folder) read(out *telemetry.Batch, path string) (text []byte, changed time.Time, err error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, time.Time{}, err
	case !info.Mode().IsRegular():
		return nil, time.Time{}, errNoFile
	}
	open, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe that has come to be there would keep us waiting
	if err != nil {
		return nil, info.ModTime(), err
	}
	defer open.Close()
	if info, err = open.Stat(); err != nil {
		return nil, time.Time{}, err
	}
	text, err = f.readAll(out, open, info)
	return text, info.ModTime(), err
}

// readAll returns the text of an open file.
func (f *folder) readAll(out *telemetry.Batch, open io.Reader, info fs.FileInfo) ([]byte, error) {
	switch {
	case !info.Mode().IsRegular():
		return nil, errNoFile
	case info.Size() > int64(f.cfg.MaxFile):
		return nil, fmt.Errorf("has %d bytes, more than max_file_bytes", info.Size())
	}
	text := out.Text(int(info.Size()) + 1) // one more, to see that it has not grown
	n, err := io.ReadFull(open, text)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if int64(n) != info.Size() {
		return nil, errors.New("is being written: write to another name, and rename that")
	}
	return text[:n], nil
}

// decode adds the samples of a whole text. One that says times is refused: the samples are those of the tick, and a file that nobody
// writes any more would bring the same points for ever.
func (f *folder) decode(out *telemetry.Batch, text []byte) (report.Report, error) {
	if n := len(text); n > 0 && text[n-1] != '\n' {
		return report.Report{}, errors.New("does not end with a line feed: it is not whole")
	}
	timed := ""
	f.decoder.Sample = func(s *prometheus.Sample) bool {
		if s.Timed && timed == "" {
			timed = strings.Clone(s.Name)
		}
		return false
	}
	f.decoder.Decode(out, text, out.Time())
	if timed != "" {
		return report.Report{}, fmt.Errorf("has a time with %s: leave the times out", timed)
	}
	f.decoder.Sample = ofThisHost
	return report.Bounded(out, report.MaxShapes, func() report.Report { return f.decoder.Decode(out, text, out.Time()) }), nil
}

// ofThisHost renames a label host: the samples are about the host that has the file.
func ofThisHost(s *prometheus.Sample) bool {
	for i := range s.Labels {
		if s.Labels[i].Key == "host" {
			s.Labels[i].Key = "exported_host"
		}
	}
	return true
}

// note logs what is wrong with a file, once.
func (f *folder) note(path string, err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != "" && text != f.faults[path] {
		f.log.Warn("file is not read as a whole", "file", path, "error", err)
	}
	if f.faults[path] = text; text == "" {
		delete(f.faults, path)
	}
}
