package jsontext

import (
	"fmt"
	"strconv"
	"strings"
)

// A path leads to a value; nil is the whole.
type path []string

func parsePath(text string) (path, error) {
	if text == "" {
		return nil, nil
	}
	const dot = "\x00" // which no key has that an operator can write
	var p path
	for part := range strings.SplitSeq(strings.ReplaceAll(text, `\.`, dot), ".") {
		if part == "" {
			return nil, fmt.Errorf("path %q: a key is empty: want keys with a dot between them, as net.eth0.rx", text)
		}
		p = append(p, strings.ReplaceAll(part, dot, "."))
	}
	return p, nil
}

// find returns what the path leads to.
func (p path) find(v any) (found any, ok bool) {
	for _, key := range p {
		switch in := v.(type) {
		case map[string]any:
			v, ok = in[key]
		case []any:
			i, err := strconv.Atoi(key)
			if ok = err == nil && i >= 0 && i < len(in); ok {
				v = in[i]
			}
		default:
			ok = false
		}
		if !ok {
			return nil, false
		}
	}
	return v, true
}

// name is what a value at the path is called.
func (p path) name() string { return strings.Join(p, "_") }

// String returns the path for people.
func (p path) String() string { return strings.Join(p, ".") }
