package host

import "path"

// maxNames bounds the names remembered: interfaces of containers come and go.
const maxNames = 1024

// names decides once for each name of a device whether it is reported.
type names struct {
	skip  []string           // globs of names to leave out
	omit  func(string) bool  // a further reason to leave one out; nil: none
	known map[string]verdict // what was decided
}

type verdict struct {
	name string
	keep bool
}

// keep returns name as a string, and whether it is reported.
func (n *names) keep(name []byte) (string, bool) {
	if v, ok := n.known[string(name)]; ok {
		return v.name, v.keep
	}
	if n.known == nil || len(n.known) >= maxNames {
		n.known = map[string]verdict{}
	}
	v := verdict{name: string(name)}
	v.keep = !matches(n.skip, v.name) && (n.omit == nil || !n.omit(v.name))
	n.known[v.name] = v
	return v.name, v.keep
}

// matches reports whether one of globs, which Validate has checked, matches name.
func matches(globs []string, name string) bool {
	for _, glob := range globs {
		if ok, _ := path.Match(glob, name); ok {
			return true
		}
	}
	return false
}
