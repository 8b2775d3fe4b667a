package filter

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/compiler"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/optimizer"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/vm"

	"github.com/pacewire/pacewire/telemetry"
)

// memoryBudget is how many elements of lists and texts one run of a program may make.
const memoryBudget = 10_000

// A rowTest is a condition that has no common form: a program of expr, run for each point that is in doubt.
type rowTest struct {
	program *vm.Program
	machine vm.VM
	env     map[string]any
	uses    uses
	bound   []bound // as uses.columns, of the group at hand

	tags   map[string]string
	fields map[string]any
	memo   map[string]outcome // by text, for a program that reads one tag only
}

// uses is what a program reads of a point.
type uses struct {
	columns      []operand
	time         bool
	tags, fields bool // as a whole
}

// An outcome is what a program came to.
type outcome struct {
	ok  bool
	err error
}

// rows returns the condition n, whatever its form.
func (p *planner) rows(n ast.Node) (condition, error) {
	ast.Walk(&n, totaler{})
	t := &rowTest{
		env:  map[string]any{},
		tags: map[string]string{}, fields: map[string]any{}, memo: map[string]outcome{},
		machine: vm.VM{MemoryBudget: memoryBudget},
	}
	ast.Walk(&n, &t.uses)
	tree := &parser.Tree{Node: n, Source: p.source}
	config := *p.config
	config.Expect = 0 // what is no bool is false, not a fault
	if err := optimizer.Optimize(&tree.Node, &config); err != nil {
		return nil, explain(p.source.String(), err)
	}
	program, err := compiler.Compile(tree, &config)
	if err != nil {
		return nil, explain(p.source.String(), err)
	}
	t.program = program
	t.bound = make([]bound, len(t.uses.columns))
	return t, nil
}

// Visit notes what one node reads.
func (u *uses) Visit(node *ast.Node) {
	name, ok := (*node).(*ast.IdentifierNode)
	if !ok {
		return
	}
	of, key, isColumn := strings.Cut(name.Value, ".")
	switch {
	case isColumn:
		o := operand{kind: kindField, name: key}
		if of == "tags" {
			o.kind = kindTag
		}
		u.add(o)
	case of == "time":
		u.time = true
	case of == "tags":
		u.tags = true
	case of == "fields":
		u.fields = true
	}
}

func (u *uses) add(o operand) {
	for _, c := range u.columns {
		if c.kind == o.kind && c.name == o.name {
			return
		}
	}
	u.columns = append(u.columns, o)
}

// slot returns the name under which a program finds a column. No name that can be written has a dot.
func slot(o operand) string {
	if o.kind == kindTag {
		return "tags." + o.name
	}
	return "fields." + o.name
}

func (t *rowTest) narrow(s *scan, mask []bool) verdict {
	t.env["series"] = s.group.Series
	for i, o := range t.uses.columns {
		t.bound[i] = o.bind(s.group)
	}
	whole := t.uses.time || t.uses.tags || t.uses.fields
	switch {
	case len(t.uses.columns) == 0 && !whole:
		return always(s.count(t.run()))
	case len(t.uses.columns) == 1 && !whole && t.uses.columns[0].kind == kindTag:
		t.narrowByTag(s, mask)
	default:
		for row, in := range mask {
			if in {
				t.load(s, row)
				mask[row] = s.count(t.run())
			}
		}
	}
	t.forget()
	return some
}

// narrowByTag runs the program once for each text of the only tag it reads.
func (t *rowTest) narrowByTag(s *scan, mask []bool) {
	clear(t.memo)
	name := slot(t.uses.columns[0])
	for row, in := range mask {
		if !in {
			continue
		}
		text := t.bound[0].tag.At(row)
		result, known := t.memo[text]
		if !known {
			t.env[name] = text
			result = t.run()
			t.memo[text] = result
		}
		mask[row] = s.count(result)
	}
}

// load makes the environment that of a point.
func (t *rowTest) load(s *scan, row int) {
	for i, o := range t.uses.columns {
		t.env[slot(o)] = t.bound[i].value(row).Any()
	}
	if t.uses.time {
		t.env["time"] = time.Unix(0, s.group.Time(row)).UTC()
	}
	if t.uses.tags {
		t.loadTags(s, row)
	}
	if t.uses.fields {
		t.loadFields(s.group, row)
	}
}

func (t *rowTest) loadTags(s *scan, row int) {
	clear(t.tags)
	s.keys = s.group.TagKeys(s.keys[:0])
	for _, key := range s.keys {
		if text := s.group.Tag(key).At(row); text != "" {
			t.tags[key] = text
		}
	}
	t.env["tags"] = t.tags
}

func (t *rowTest) loadFields(g *telemetry.Group, row int) {
	clear(t.fields)
	columns := g.FieldColumns()
	for i := range columns {
		if v := columns[i].Value(row); v.Present() {
			t.fields[columns[i].Name] = v.Any()
		}
	}
	t.env["fields"] = t.fields
}

// run runs the program once.
func (t *rowTest) run() outcome {
	v, err := t.machine.Run(t.program, t.env)
	ok, _ := v.(bool)
	return outcome{ok && err == nil, err}
}

// forget lets the batch go, to whose memory texts belong.
func (t *rowTest) forget() {
	clear(t.env)
	clear(t.tags)
	clear(t.fields)
	clear(t.memo)
	clear(t.bound)
	clear(t.machine.Stack[:cap(t.machine.Stack)])
	clear(t.machine.Variables)
}

// count notes an outcome that is an error, and returns whether the condition holds.
func (s *scan) count(o outcome) bool {
	if o.err == nil {
		return o.ok
	}
	s.failed++
	if s.failure == nil {
		s.failure = o.err
		if fault, ok := errors.AsType[*file.Error](o.err); ok {
			s.failure = fmt.Errorf("%s at column %d", fault.Message, fault.Column+1)
		}
	}
	return false
}
