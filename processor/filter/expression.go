package filter

import (
	"errors"
	"fmt"
	"path"
	"reflect"
	"strings"
	"time"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/builtin"
	"github.com/expr-lang/expr/checker"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
)

const (
	maxExpression = 4096 // bytes; reading one is recursive
	maxNodes      = 1000
)

// compile makes the condition that text states. Its parts work with s and with no other scan.
func compile(text string, s *scan) (condition, error) {
	if len(text) > maxExpression {
		return nil, fmt.Errorf("an expression of %d bytes: the limit is %d, use two filters in a row", len(text), maxExpression)
	}
	config := language(s)
	tree, err := parser.ParseWithConfig(text, config)
	if err != nil {
		return nil, explain(text, err)
	}
	sugar := &sweetener{}
	if ast.Walk(&tree.Node, sugar); sugar.fault != nil {
		return nil, explain(text, sugar.fault.Bind(tree.Source))
	}
	if _, err := checker.Check(tree, config); err != nil {
		return nil, explain(text, err)
	}
	return (&planner{scan: s, config: config, source: tree.Source}).condition(tree.Node)
}

// language returns what an expression may speak of.
func language(s *scan) *conf.Config {
	c := conf.New(map[string]any{
		"series": "", "time": time.Time{}, "tags": map[string]string{}, "fields": map[string]any{},
	})
	c.MaxNodes = maxNodes
	c.Expect, c.ExpectAny = reflect.Bool, true
	functions := map[string]*builtin.Function{
		"now": {
			Func:  func(...any) (any, error) { return s.now, nil },
			Types: []reflect.Type{reflect.TypeFor[func() time.Time]()},
		},
		"glob": {
			Func:  glob,
			Types: []reflect.Type{reflect.TypeFor[func(text, pattern string) bool]()},
		},
	}
	for name, f := range functions {
		f.Name = name
		c.Functions[name] = f
	}
	for name, f := range totals() {
		c.Functions[name] = &builtin.Function{Name: name, Func: f}
	}
	return c
}

// glob is the function of that name: whether the first argument, a text, matches the second, a pattern.
func glob(args ...any) (any, error) {
	text, isText := args[0].(string)
	pattern, isPattern := args[1].(string)
	if !isText || !isPattern {
		return false, nil
	}
	return path.Match(pattern, text)
}

// A sweetener turns what the language offers beyond expr's into expr's: texts that are times or durations where a time is
// computed or compared, and names in tags and fields. It finds what expr would notice only at work.
type sweetener struct{ fault *file.Error }

// Visit rewrites one node, after those below it.
func (s *sweetener) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.BinaryNode:
		s.binary(node, n)
	case *ast.MemberNode:
		s.member(n)
	case *ast.IdentifierNode:
		if n.Value == "$env" {
			s.refuse(n, "$env is not for conditions, write fields, tags, series or time")
		}
	case *ast.CallNode:
		s.call(n)
	}
}

// member refuses parts of a tag or a field.
func (s *sweetener) member(n *ast.MemberNode) {
	of, ok := n.Node.(*ast.MemberNode)
	if !ok {
		return
	}
	if _, ok := columnOf(of); !ok {
		return
	}
	if n.Method {
		s.refuse(n, `%s has no functions, write %s startsWith "a", or lower(%s)`, of, of, of)
	}
	s.refuse(n, `%s is one value and has no parts, a name with a dot stands in brackets, as fields["a.b"]`, of)
}

func (s *sweetener) binary(node *ast.Node, n *ast.BinaryNode) {
	switch n.Operator {
	case "==", "!=", "<", "<=", ">", ">=":
		s.comparison(n)
	case "+", "-":
		if text, ok := n.Right.(*ast.StringNode); ok && isTime(n.Left) {
			d, err := time.ParseDuration(text.Value)
			if err != nil {
				s.refuse(text, `%q is no duration, write "90s", "15m" or "24h"`, text.Value)
			}
			ast.Patch(&n.Right, &ast.ConstantNode{Value: d})
		}
	case "in":
		s.in(node, n)
	}
}

// comparison reads the text that a time is compared with, and refuses to compare a tag with nil.
func (s *sweetener) comparison(n *ast.BinaryNode) {
	for _, side := range []struct{ of, text *ast.Node }{{&n.Left, &n.Right}, {&n.Right, &n.Left}} {
		if o, ok := operandOf(*side.of); ok && o.kind == kindTag && isNil(*side.text) {
			s.refuse(*side.text, `a missing tag is the text "", compare it with that`)
		}
		text, ok := (*side.text).(*ast.StringNode)
		if !ok || !isTime(*side.of) {
			continue
		}
		t, err := time.Parse(time.RFC3339, text.Value)
		if err != nil {
			s.refuse(text, `%q is no time, write "2026-01-31T08:00:00Z" or now() - "1h"`, text.Value)
		}
		ast.Patch(side.text, &ast.ConstantNode{Value: t})
	}
}

// in turns "a name in fields" into the question whether that field is there; likewise for tags.
func (s *sweetener) in(node *ast.Node, n *ast.BinaryNode) {
	name, isText := n.Left.(*ast.StringNode)
	where, isName := n.Right.(*ast.IdentifierNode)
	if !isText || !isName || where.Value != "tags" && where.Value != "fields" {
		return
	}
	var missing ast.Node = &ast.NilNode{}
	if where.Value == "tags" {
		missing = &ast.StringNode{}
	}
	ast.Patch(node, &ast.BinaryNode{Operator: "!=", Left: &ast.MemberNode{Node: where, Property: name}, Right: missing})
}

func (s *sweetener) call(n *ast.CallNode) {
	name, ok := n.Callee.(*ast.IdentifierNode)
	if !ok || name.Value != "glob" || len(n.Arguments) != 2 {
		return
	}
	pattern, ok := n.Arguments[1].(*ast.StringNode)
	if !ok {
		return
	}
	if _, err := path.Match(pattern.Value, ""); err != nil {
		s.refuse(pattern, "pattern %q cannot be read, a [ that is meant so is written [[]", pattern.Value)
	}
}

// refuse notes the first fault.
func (s *sweetener) refuse(n ast.Node, format string, args ...any) {
	if s.fault == nil {
		s.fault = &file.Error{Location: n.Location(), Message: fmt.Sprintf(format, args...)}
	}
}

// isTime reports whether n, by its form, is a time.
func isTime(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.IdentifierNode:
		return n.Value == "time"
	case *ast.CallNode:
		name, ok := n.Callee.(*ast.IdentifierNode)
		return ok && name.Value == "now"
	case *ast.BinaryNode:
		return (n.Operator == "+" || n.Operator == "-") && isTime(n.Left) && !isTime(n.Right)
	}
	return false
}

// explain returns err, what expr has against text, with a hint and the place.
func explain(text string, err error) error {
	fault, ok := errors.AsType[*file.Error](err)
	if !ok {
		return fmt.Errorf("%w: want a condition, as fields.usage > 90", err)
	}
	message := fault.Message
	if h := hint(text, fault); h != "" {
		message += ": " + h
	}
	return errors.New(message + mark(text, fault.Line, fault.Column))
}

// mark draws the line of text with a caret below column. Of a long line it draws what is near.
func mark(text string, line, column int) string {
	const before, width = 60, 100
	lines := strings.Split(text, "\n")
	if line < 1 || line > len(lines) {
		return ""
	}
	runes := []rune(strings.ReplaceAll(strings.TrimRight(lines[line-1], "\r"), "\t", " "))
	column = min(column, len(runes))
	from := max(0, column-before)
	if len(runes) <= width {
		from = 0
	}
	to := min(len(runes), from+width)
	return fmt.Sprintf("\n    %s\n    %s^", string(runes[from:to]), strings.Repeat(" ", column-from))
}
