package config

import (
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Limits of a file. A yaml.Node tree has none of its own.
const (
	maxBytes = 256 << 10
	maxDepth = 32
	maxKeys  = 2000
)

// parse reads the text of one file into the source's tree. What it refuses here could hurt or
// mislead whoever walks the tree later.
func (s *source) parse(text string) {
	if s.refuse(text) {
		s.fatal = true
		return
	}
	dec := yaml.NewDecoder(strings.NewReader(text))
	var doc yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return
	} else if err != nil {
		s.syntax(text, err)
		return
	}
	s.onlyOne(dec, text)
	if root := doc.Content[0]; root.Kind == yaml.MappingNode {
		s.root = root
		s.check(root, 1)
	} else if !empty(root) {
		s.notSettings(root)
	}
}

// refuse looks at the bytes alone.
func (s *source) refuse(text string) bool {
	if len(text) > maxBytes {
		s.faults = append(s.faults, Fault{
			Position: Position{File: s.name},
			Message:  "the file is larger than 256 KiB",
			Hint:     "spread the plugins over files in conf.d",
		})
		return true
	}
	for i, line := range s.lines {
		column := 0
		for b, r := range line {
			column++
			switch {
			case r == utf8.RuneError && !strings.HasPrefix(line[b:], "\uFFFD"):
				s.faultAt(i+1, column, "save the file as UTF-8", "this is not UTF-8 text")
				return true
			case r == '\uFEFF', r < ' ' && r != '\t', r >= 0x7f && r < 0xa0, r >= 0xfffe && r <= 0xffff:
				s.faultAt(i+1, column, "delete it", "a control character (%U) in the text", r)
				return true
			}
		}
	}
	return false
}

// onlyOne refuses a second document, which a reader of the first would never see.
func (s *source) onlyOne(dec *yaml.Decoder, text string) {
	var second yaml.Node
	switch err := dec.Decode(&second); {
	case errors.Is(err, io.EOF):
	case err != nil:
		s.syntax(text, err)
	default:
		s.fatal = true
		s.fault(&second, "join the two, or put the second into a file in conf.d", "a second document begins here (---): a file holds one")
	}
}

func (s *source) notSettings(root *yaml.Node) {
	s.fatal = true
	if i := strings.Index(root.Value, ":"); i > 0 && root.Kind == yaml.ScalarNode {
		s.faultAt(root.Line, root.Column+i+1, blankHint, blankMissing)
		return
	}
	s.fault(root, "pacewire init writes a file to start from", "want settings such as every: 10s, got %s", s.got(root))
}

// check walks the tree: no anchors, tags, or keys twice, and within the limits.
func (s *source) check(n *yaml.Node, depth int) {
	if depth > maxDepth {
		s.fatal = true
		s.fault(n, "", "nested more than %d deep", maxDepth)
		return
	}
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		s.fatal = true
		s.fault(n, "", "anchors and aliases (&name, *name) are not used here: write the value out, or quote what begins with & or *")
		return
	}
	if n.Style&yaml.TaggedStyle != 0 {
		s.fault(n, "leave the tag out, or quote the value if it begins with !", "a tag (%s) is not used here", n.Tag)
		n.Style &^= yaml.TaggedStyle
	}
	if n.Kind == yaml.MappingNode {
		s.keys(n)
	}
	for _, child := range n.Content {
		s.check(child, depth+1)
	}
}

// keys checks the keys of a map and drops what is there twice, so that it is reported once.
func (s *source) keys(n *yaml.Node) {
	if len(n.Content)/2 > maxKeys {
		s.fatal = true
		s.fault(n, "", "more than %d keys in one map", maxKeys)
		return
	}
	first := make(map[string]*yaml.Node, len(n.Content)/2)
	kept := n.Content[:0:0]
	for _, e := range entries(n) {
		switch was := first[e.name]; {
		case e.key.Kind == yaml.AliasNode:
			s.check(e.key, 0)
		case e.key.Kind != yaml.ScalarNode:
			s.fault(e.key, "quote it if it is text; ${NAME} in braces must be quoted too", "want a plain name as key, got %s", s.got(e.key))
		case e.key.Tag == "!!merge":
			s.fault(e.key, "write the settings out", "<< joins maps in other files, not here")
		case empty(e.val) && glued.re().MatchString(e.name):
			s.faultAt(e.key.Line, e.key.Column+strings.Index(e.name, ":")+1, blankHint, blankMissing)
		case was != nil:
			s.fault(e.key, "remove one of them", "%s is set twice: first in line %d", e.name, was.Line)
		default:
			first[e.name] = e.key
			kept = append(kept, e.key, e.val)
		}
	}
	n.Content = kept
}
