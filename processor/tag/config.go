package tag

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/pacewire/pacewire/telemetry"
)

// Config is what an operator may set. Names in keep, drop and on the left of a rename are those that points come with.
type Config struct {
	Series []string `json:"series" jsonschema:"globs of the series that are changed; the others go on as they are"`

	Keep    []string          `json:"keep" jsonschema:"globs of the tags that stay; none: all"`
	Drop    []string          `json:"drop" jsonschema:"globs of the tags that are taken away"`
	Rename  map[string]string `json:"rename" jsonschema:"tags to rename, as old: new"`
	Add     map[string]string `json:"add" jsonschema:"tags to set, over what a point has, as key: value"`
	Default map[string]string `json:"default" jsonschema:"tags to set where a point has none, as key: value"`

	FieldsKeep   []string          `json:"fields_keep" jsonschema:"globs of the fields that stay; none: all"`
	FieldsDrop   []string          `json:"fields_drop" jsonschema:"globs of the fields that are taken away"`
	FieldsRename map[string]string `json:"fields_rename" jsonschema:"fields to rename, as old: new"`

	SeriesRename map[string]string `json:"series_rename" jsonschema:"series to rename, as old: new"`
	SeriesPrefix string            `json:"series_prefix" jsonschema:"text to put before the name of every series"`
}

// defaults returns the settings that change nothing.
func defaults() Config {
	none := func() map[string]string { return map[string]string{} }
	return Config{
		Series: []string{"*"}, Keep: []string{}, Drop: []string{}, Rename: none(), Add: none(), Default: none(),
		FieldsKeep: []string{}, FieldsDrop: []string{}, FieldsRename: none(), SeriesRename: none(),
	}
}

// maxPrefix leaves room for the name itself.
const maxPrefix = 64

// Validate reports every fault of the settings.
func (c Config) Validate() error {
	var f faults
	f.globs("series", c.Series)
	f.globs("keep", c.Keep)
	f.globs("drop", c.Drop)
	f.globs("fields_keep", c.FieldsKeep)
	f.globs("fields_drop", c.FieldsDrop)
	f.renames("rename", c.Rename)
	f.renames("fields_rename", c.FieldsRename)
	f.renames("series_rename", c.SeriesRename)
	f.tags("add", c.Add)
	f.tags("default", c.Default)
	for _, key := range slices.Sorted(maps.Keys(c.Default)) {
		if _, ok := c.Add[key]; ok {
			f.note("default: %s is set on every point by add already: give it in one of them", key)
		}
	}
	if len(c.SeriesPrefix) > maxPrefix || !clean(c.SeriesPrefix) {
		f.note("series_prefix %q: want at most %d bytes of text without control characters", c.SeriesPrefix, maxPrefix)
	}
	return errors.Join(f...)
}

// faults are what is wrong with a config.
type faults []error

func (f *faults) note(format string, args ...any) { *f = append(*f, fmt.Errorf(format, args...)) }

func (f *faults) globs(key string, globs []string) {
	for _, g := range globs {
		if _, err := path.Match(g, ""); err != nil || g == "" {
			f.note("%s: pattern %q cannot be read: write a name, with * for any text", key, g)
		}
	}
}

// renames looks at old and new names. Two old ones cannot get one new name: which would win is up to chance.
func (f *faults) renames(key string, names map[string]string) {
	taken := map[string]string{}
	for _, from := range slices.Sorted(maps.Keys(names)) {
		to := names[from]
		f.name(key, from)
		f.name(key+": "+from, to)
		if other, ok := taken[to]; ok {
			f.note("%s: %s and %s would both be called %s: use two tag processors in a row, the later one wins", key, other, from, to)
		}
		taken[to] = from
	}
}

func (f *faults) name(key, name string) {
	if name == "" || len(name) > telemetry.MaxName || !clean(name) {
		f.note("%s: name %q: want 1 to %d bytes of text without control characters", key, name, telemetry.MaxName)
	}
}

func (f *faults) tags(key string, tags map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(tags)) {
		f.name(key, name)
		switch v := tags[name]; {
		case v == "":
			f.note("%s: %s has no value: to take a tag away write drop: [%s]", key, name, name)
		case len(v) > telemetry.MaxTagValue || !clean(v):
			f.note("%s: %s: want at most %d bytes of text without control characters", key, name, telemetry.MaxTagValue)
		}
	}
}

// clean reports whether s is UTF-8 without control characters.
func clean(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// sorted returns tags in the order of their keys, so that equal configs make equal messages.
func sorted(tags map[string]string) []telemetry.Tag {
	var list []telemetry.Tag
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		list = append(list, telemetry.Tag{Key: key, Value: tags[key]})
	}
	return list
}

// A step renames one name.
type step struct{ from, to string }

// steps puts renames in an order in which each finds the name that the point came with. A name that is wanted while it is
// still another's waits under a hidden one: so two names can also be swapped.
func steps(names map[string]string) []step {
	const hidden = "\uE000" // of private use: no name that means anything begins so
	var first, middle, last []step
	for i, from := range slices.Sorted(maps.Keys(names)) {
		to := names[from]
		if _, moves := names[to]; !moves || from == to {
			middle = append(middle, step{from, to})
			continue
		}
		wait := hidden + strconv.Itoa(i)
		first = append(first, step{from, wait})
		last = append(last, step{wait, to})
	}
	return slices.Concat(first, middle, last)
}
