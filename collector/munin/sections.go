package munin

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A section is what plugin-conf.d says of one plugin, or of all whose names fit a pattern.
type section struct {
	user     string
	groups   []string // one in parentheses need not exist
	command  []string
	host     string
	timeout  time.Duration
	interval time.Duration // at least between two runs
	env      map[string]string
}

// sections are those of all files, by what stands between their brackets.
type sections map[string]*section

// readSections reads the files of a folder in the order of their names. Of a file with a fault that counts which is before it.
func readSections(dir string) (sections, error) {
	list, err := os.ReadDir(dir)
	if dir == "" || errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("conf: %w", err)
	}
	all, faults := sections{}, []error(nil)
	for _, entry := range list {
		path := filepath.Join(dir, entry.Name())
		if info, err := os.Stat(path); ignored(entry.Name()) || err == nil && info.IsDir() {
			continue
		}
		text, err := os.ReadFile(path)
		if err == nil {
			err = all.parse(string(text))
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("conf: %s: %w", path, err))
		}
	}
	return all, errors.Join(faults...)
}

// parse adds what a file says. Where two say something else of the same the later counts.
func (all sections) parse(text string) error {
	var s *section
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(withoutComment(line))
		name, bracketed := strings.CutPrefix(line, "[")
		name, closed := strings.CutSuffix(name, "]")
		switch {
		case line == "":
		case bracketed && closed && name != "":
			if s = all[name]; s == nil {
				s = &section{env: map[string]string{}}
				all[name] = s
			}
		case s == nil:
			return fmt.Errorf("line %d: %.40q stands before the first [plugin]", n, line)
		default:
			if err := s.set(line); err != nil {
				return fmt.Errorf("line %d: %w", n, err)
			}
		}
	}
	return nil
}

// withoutComment cuts a line at its first #; one behind a backslash is a letter.
func withoutComment(line string) string {
	for i := range len(line) {
		if line[i] == '#' && (i == 0 || line[i-1] != '\\') {
			line = line[:i]
			break
		}
	}
	return strings.ReplaceAll(line, `\#`, "#")
}

// set takes a line of a section.
func (s *section) set(line string) error {
	i := strings.IndexAny(line, " \t")
	if i < 0 {
		return fmt.Errorf("%.40q: want a word and a value", line)
	}
	key, value := line[:i], strings.TrimSpace(line[i:])
	var err error
	switch key {
	case "user":
		s.user = value
	case "group":
		s.groups = strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' })
	case "command":
		s.command = words(value)
	case "host_name":
		s.host = value
	case "timeout":
		s.timeout, err = seconds(value)
	case "update_rate":
		s.interval, err = seconds(value)
	case "disable_autoconf": // is for who installs plugins
	default:
		name, ok := strings.CutPrefix(key, "env.")
		if !ok || name == "" {
			return fmt.Errorf("%.40q: want user, group, command, host_name, timeout, update_rate or env.NAME", key)
		}
		s.env[name] = value
	}
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	return nil
}

func seconds(text string) (time.Duration, error) {
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%.40q: want seconds, 1 or more", text)
	}
	return time.Duration(n) * time.Second, nil
}

// words splits a command at its blanks; one behind a backslash belongs to its word.
func words(text string) (list []string) {
	var word []byte
	in := false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && i+1 < len(text):
			i++
			word, in = append(word, text[i]), true
		case c == ' ' || c == '\t':
			if in {
				list = append(list, string(word))
			}
			word, in = word[:0], false
		default:
			word, in = append(word, c), true
		}
	}
	if in {
		list = append(list, string(word))
	}
	return list
}

// of returns what is said of a plugin: of each thing that counts which is said in the most special section.
func (all sections) of(plugin string) section {
	s := section{env: map[string]string{}}
	for _, pattern := range slices.SortedFunc(maps.Keys(all), special) {
		if !fits(pattern, plugin) {
			continue
		}
		more := all[pattern]
		s.user, s.host = cmp.Or(s.user, more.user), cmp.Or(s.host, more.host)
		s.timeout, s.interval = cmp.Or(s.timeout, more.timeout), cmp.Or(s.interval, more.interval)
		if s.groups == nil {
			s.groups = more.groups
		}
		if s.command == nil {
			s.command = more.command
		}
		for name, value := range more.env {
			if _, ok := s.env[name]; !ok {
				s.env[name] = value
			}
		}
	}
	return s
}

// fits reports whether a section is about a plugin: * stands for anything, at the begin or the end.
func fits(pattern, plugin string) bool {
	if begin, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(plugin, begin)
	}
	if end, ok := strings.CutPrefix(pattern, "*"); ok {
		return strings.HasSuffix(plugin, end)
	}
	return pattern == plugin
}

// special orders sections: names before patterns, those that give the begin before those that give the end, long ones before short
// ones.
func special(a, b string) int {
	rank := func(pattern string) int {
		switch {
		case pattern == "*":
			return 3
		case strings.HasSuffix(pattern, "*"):
			return 1
		case strings.HasPrefix(pattern, "*"):
			return 2
		}
		return 0
	}
	return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(len(b), len(a)), cmp.Compare(a, b))
}
