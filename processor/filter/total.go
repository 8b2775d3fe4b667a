package filter

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/vm/runtime"

	"github.com/pacewire/pacewire/telemetry"
)

// A totaler makes a part of an expression, to be run by expr, mean what the common forms mean: where the type of a value is
// known only at work (a field), comparisons, tests of text and arithmetic become calls of functions of ours, for which a
// missing value is no error.
type totaler struct{}

// Visit rewrites one node, after those below it.
func (totaler) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.MemberNode:
		if o, ok := columnOf(n); ok {
			name := &ast.IdentifierNode{Value: slot(o)}
			if o.kind == kindTag {
				name.SetType(reflect.TypeFor[string]())
			}
			ast.Patch(node, name)
		}
	case *ast.UnaryNode:
		switch {
		case !unknown(n.Node):
		case n.Operator == "-":
			ast.Patch(node, call("-", &ast.IntegerNode{}, n.Node))
		case n.Operator == "not" || n.Operator == "!":
			n.Node = call("true", n.Node)
		}
	case *ast.ConditionalNode:
		if unknown(n.Cond) {
			n.Cond = call("true", n.Cond)
		}
	case *ast.BinaryNode:
		totalBinary(node, n)
	}
}

func totalBinary(node *ast.Node, n *ast.BinaryNode) {
	switch n.Operator {
	case "and", "&&", "or", "||":
		for _, side := range []*ast.Node{&n.Left, &n.Right} {
			if unknown(*side) {
				*side = call("true", *side)
			}
		}
		return
	}
	_, ok := totals()[n.Operator]
	if !ok || !unknown(n.Left) && !unknown(n.Right) || isNil(n.Left) || isNil(n.Right) {
		return
	}
	if text, ok := n.Right.(*ast.StringNode); ok && n.Operator == "matches" {
		if re, err := regexp.Compile(text.Value); err == nil {
			n.Right = &ast.ConstantNode{Value: re}
		}
	}
	ast.Patch(node, call(n.Operator, n.Left, n.Right))
}

// call returns the call of a function of totals.
func call(name string, args ...ast.Node) ast.Node {
	return &ast.CallNode{Callee: &ast.IdentifierNode{Value: name}, Arguments: args}
}

// unknown reports whether the type of n is known only at work.
func unknown(n ast.Node) bool { return n.Type() == nil || n.Type().Kind() == reflect.Interface }

// isNil reports whether n is nil itself: to compare with it asks whether there is a value, which expr does well.
func isNil(n ast.Node) bool {
	_, ok := n.(*ast.NilNode)
	return ok
}

// totals are the functions, by the operator they stand for; "true" is for what has to be a bool.
func totals() map[string]func(args ...any) (any, error) {
	return map[string]func(args ...any) (any, error){
		"true": func(args ...any) (any, error) { return args[0] == true, nil },
		"==":   comparing("=="), "!=": comparing("!="),
		"<": comparing("<"), "<=": comparing("<="), ">": comparing(">"), ">=": comparing(">="),
		"in":         in,
		"contains":   texts(strings.Contains),
		"startsWith": texts(strings.HasPrefix),
		"endsWith":   texts(strings.HasSuffix),
		"matches":    matches,
		"+":          computing(runtime.Add),
		"-":          computing(runtime.Subtract),
		"*":          computing(runtime.Multiply),
		"/":          computing(func(a, b any) any { return runtime.Divide(a, b) }),
		"%":          computing(func(a, b any) any { return runtime.Modulo(a, b) }),
		"**":         computing(func(a, b any) any { return runtime.Exponent(a, b) }),
		"^":          computing(func(a, b any) any { return runtime.Exponent(a, b) }),
	}
}

// comparing returns the comparison op.
func comparing(op string) func(args ...any) (any, error) {
	return func(args ...any) (any, error) {
		return test(op, telemetry.ValueOf(args[0]), telemetry.ValueOf(args[1])), nil
	}
}

// computing returns arithmetic f, whose result is missing when one of its operands is.
func computing(f func(a, b any) any) func(args ...any) (any, error) {
	return func(args ...any) (any, error) {
		if args[0] == nil || args[1] == nil {
			return nil, nil
		}
		return f(args[0], args[1]), nil
	}
}

// texts returns a test of two texts, false when one of them is something else.
func texts(f func(a, b string) bool) func(args ...any) (any, error) {
	return func(args ...any) (any, error) {
		a, isText := args[0].(string)
		b, isText2 := args[1].(string)
		return isText && isText2 && f(a, b), nil
	}
}

func matches(args ...any) (any, error) {
	text, ok := args[0].(string)
	if !ok {
		return false, nil
	}
	switch re := args[1].(type) {
	case *regexp.Regexp:
		return re.MatchString(text), nil
	case string:
		return regexp.MatchString(re, text)
	}
	return false, nil
}

// in is whether the first argument is an element of a list, or a key of a map.
func in(args ...any) (any, error) {
	v := telemetry.ValueOf(args[0])
	is := func(e any) bool { return test("==", v, telemetry.ValueOf(e)) }
	switch list := args[1].(type) {
	case []any:
		return slices.ContainsFunc(list, is), nil
	case []int:
		return slices.ContainsFunc(list, func(e int) bool { return is(e) }), nil
	case map[string]string:
		_, ok := list[v.Text()]
		return ok, nil
	case map[string]any:
		_, ok := list[v.Text()]
		return ok, nil
	}
	return nil, fmt.Errorf("in: %T is no list", args[1])
}
