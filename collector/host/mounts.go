package host

import (
	"bytes"
	"fmt"
	"slices"
)

// A mount is a line of mountinfo.
type mount struct {
	id     string // major:minor of the file system
	path   string // where it is mounted
	fstype string
	device string // what is mounted, without /dev/
}

// parseMounts reads mountinfo. A mount that a later one at the same path hides is left out: nobody can ask it any more.
func parseMounts(text []byte) ([]mount, error) {
	var mounts []mount
	at := map[string]int{}
	for i, line := range lines(text) {
		m, err := parseMount(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i, err)
		}
		if k, hides := at[m.path]; hides {
			mounts[k] = m
			continue
		}
		at[m.path] = len(mounts)
		mounts = append(mounts, m)
	}
	return mounts, nil
}

// parseMount reads a line of mountinfo:
//
//	36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
//
// that is number, parent, file system, root in it, path, options, any number of further fields, a dash, type, source, options.
func parseMount(line []byte) (mount, error) {
	front, back, ok := bytes.Cut(line, []byte(" - "))
	if !ok {
		return mount{}, fmt.Errorf(`want fields, " - " and fields, got %.80q`, line)
	}
	_, front = word(front)
	_, front = word(front)
	id, front := word(front)
	_, front = word(front)
	path, _ := word(front)
	fstype, back := word(back)
	source, _ := word(back)
	if len(path) == 0 || path[0] != '/' || len(fstype) == 0 {
		return mount{}, fmt.Errorf("want a path and a type of file system, got %.80q", line)
	}
	return mount{
		id: string(id), path: unescape(path), fstype: unescape(fstype),
		device: unescape(bytes.TrimPrefix(source, []byte("/dev/"))),
	}, nil
}

// unescape returns text with the kernel's \040 turned into a blank, and so on.
func unescape(text []byte) string {
	if !bytes.Contains(text, []byte{'\\'}) {
		return string(text)
	}
	plain := make([]byte, 0, len(text))
	for len(text) > 0 {
		b, n := text[0], 1
		if len(text) >= 4 && b == '\\' && octal(text[1]) && octal(text[2]) && octal(text[3]) {
			b, n = (text[1]-'0')<<6|(text[2]-'0')<<3|(text[3]-'0'), 4
		}
		plain, text = append(plain, b), text[n:]
	}
	return string(plain)
}

func octal(b byte) bool { return '0' <= b && b <= '7' }

// A mountFilter chooses the mounts to report.
type mountFilter struct {
	types      []string // globs of types to leave out
	only, skip []string // globs of paths
}

// choose returns the mounts of all that f lets through, each file system once: where it is mounted several times, at the
// shortest path.
func (f mountFilter) choose(all []mount) []mount {
	var chosen []mount
	for _, m := range all {
		if !f.keeps(m) {
			continue
		}
		same := func(c mount) bool { return c.id == m.id }
		switch i := slices.IndexFunc(chosen, same); {
		case i < 0:
			chosen = append(chosen, m)
		case len(m.path) < len(chosen[i].path):
			chosen[i] = m
		}
	}
	return chosen
}

func (f mountFilter) keeps(m mount) bool {
	if matches(f.types, m.fstype) && m.path != "/" {
		return false
	}
	return (len(f.only) == 0 || matches(f.only, m.path)) && !matches(f.skip, m.path)
}
