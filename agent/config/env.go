package config

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// reference is ${NAME}, or $${ for a literal ${, or a ${ that is neither.
var reference = &pattern{text: `\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)\}|\$\{[^}]*\}?`}

var envName = &pattern{text: `^[A-Za-z_][A-Za-z0-9_]*$`}

// expand replaces ${NAME} in every value below n. It works on the parsed tree, so that what the
// environment holds cannot become structure.
func (l *loader) expand(s *source, n *yaml.Node) {
	if n.Kind == yaml.ScalarNode && strings.Contains(n.Value, "${") {
		s.written[n] = n.Value
		n.Value = l.replace(s, n, n.Value)
		n.Tag = "!!str"
		return
	}
	for i, child := range n.Content {
		if n.Kind != yaml.MappingNode || i%2 == 1 {
			l.expand(s, child)
		}
	}
}

// replace notes a fault at n for each name that is not allowed or not set.
func (l *loader) replace(s *source, n *yaml.Node, text string) string {
	return reference.re().ReplaceAllStringFunc(text, func(ref string) string {
		if ref == "$${" {
			return "${"
		}
		failed := func(hint, format string, args ...any) string {
			s.faultAt(n.Line, n.Column, hint, format, args...)
			s.settled[n] = true
			return ref
		}
		m := reference.re().FindStringSubmatch(ref)
		if m[1] == "" {
			return failed("for a literal ${ write $${; a default (:-) is not known here", "%s: want ${NAME}", ref)
		}
		if !slices.Contains(l.out.Env, m[1]) {
			return failed(didYouMean(m[1], l.out.Env, "allow it: env: ["+strings.Join(slices.Concat(l.out.Env, m[1:]), ", ")+"]"),
				"%s: %s is not in the list env: of names the config may use", ref, m[1])
		}
		value, ok := l.Environ(m[1])
		if !ok {
			return failed("set it for the agent, for instance in the unit file", "%s: %s is not set in the environment", ref, m[1])
		}
		return value
	})
}
