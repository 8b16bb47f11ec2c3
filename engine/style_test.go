package engine_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The limits of the house style.
const (
	functionLinesMax    = 70
	fileLinesMax        = 800
	interfaceMethodsMax = 3
)

// TestStyleOfEveryGoFile parses every Go file of the module and checks the sizes, the absence of init functions and of
// mutable globals, and that what is exported is documented.
func TestStyleOfEveryGoFile(t *testing.T) {
	files := 0
	for _, dir := range []string{".", "../sdk", "../plugins", "../examples", "../test"} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if d.IsDir() && (d.Name() == "node_modules" || d.Name() == "testdata") {
				return filepath.SkipDir
			}
			if !d.IsDir() && strings.HasSuffix(path, ".go") {
				files++
				checkFile(t, path)
			}
			return nil
		})
		if !os.IsNotExist(err) {
			require.NoError(t, err)
		}
	}
	require.NotZero(t, files)
}

func checkFile(t *testing.T, path string) {
	t.Helper()
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, path, nil, parser.ParseComments)
	require.NoError(t, err)
	if ast.IsGenerated(f) {
		return
	}
	test := strings.HasSuffix(path, "_test.go")
	if n := fset.File(f.Pos()).LineCount(); n > fileLinesMax {
		t.Errorf("%s: %d lines, at most %d", path, n, fileLinesMax)
	}
	if name := f.Name.Name; slices.Contains([]string{"util", "utils", "common", "helper", "helpers", "manager"}, name) {
		t.Errorf("%s: package name %s says nothing of what it provides", path, name)
	}
	for _, decl := range f.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			checkFunction(t, fset, d, test)
		case *ast.GenDecl:
			checkDeclaration(t, fset, d, test)
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		if i, ok := n.(*ast.InterfaceType); ok && i.Methods.NumFields() > interfaceMethodsMax {
			t.Errorf("%s: an interface of %d methods, at most %d", fset.Position(i.Pos()), i.Methods.NumFields(), interfaceMethodsMax)
		}
		return true
	})
}

func checkFunction(t *testing.T, fset *token.FileSet, d *ast.FuncDecl, test bool) {
	t.Helper()
	at := fset.Position(d.Pos())
	if n := fset.Position(d.End()).Line - at.Line + 1; n > functionLinesMax {
		t.Errorf("%s: function %s has %d lines, at most %d", at, d.Name.Name, n, functionLinesMax)
	}
	if d.Name.Name == "init" && d.Recv == nil {
		t.Errorf("%s: init function", at)
	}
	if !test && d.Name.IsExported() && d.Doc == nil && !methodOfUnexported(d) {
		t.Errorf("%s: exported %s has no comment", at, d.Name.Name)
	}
}

func methodOfUnexported(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return false
	}
	kind := d.Recv.List[0].Type
	if star, ok := kind.(*ast.StarExpr); ok {
		kind = star.X
	}
	if index, ok := kind.(*ast.IndexExpr); ok {
		kind = index.X
	}
	name, ok := kind.(*ast.Ident)
	return ok && !name.IsExported()
}

// checkDeclaration refuses package variables but for sentinel errors, guards, embedded files and what is documented as
// fixed.
func checkDeclaration(t *testing.T, fset *token.FileSet, d *ast.GenDecl, test bool) {
	t.Helper()
	for _, spec := range d.Specs {
		switch s := spec.(type) {
		case *ast.ValueSpec:
			if d.Tok != token.VAR || test || constantLike(s) || documentedFixed(d) || embedded(d, s) {
				continue
			}
			t.Errorf("%s: package variable %s", fset.Position(s.Pos()), s.Names[0].Name)
		case *ast.TypeSpec:
			if !test && s.Name.IsExported() && s.Doc == nil && d.Doc == nil {
				t.Errorf("%s: exported type %s has no comment", fset.Position(s.Pos()), s.Name.Name)
			}
		}
	}
}

// documentedFixed reports a variable whose comment says who sets it: the linker, or nobody after its declaration. Go has
// no constant arrays, so a read-only table has to be a variable. The guest state of a plugin is the other exception: the
// exports of a WebAssembly module are functions without a receiver, and an instance is called by one thread.
func documentedFixed(d *ast.GenDecl) bool {
	text := strings.ToLower(d.Doc.Text())
	return strings.Contains(text, "ldflags") || strings.Contains(text, "read-only") || strings.Contains(text, "guest state")
}

// constantLike reports a compile-time guard (var _ T = …) or sentinel errors.
func constantLike(s *ast.ValueSpec) bool {
	if s.Names[0].Name == "_" {
		return true
	}
	for i, name := range s.Names {
		if !strings.HasPrefix(strings.ToLower(name.Name), "err") || i >= len(s.Values) {
			return false
		}
	}
	return true
}

func embedded(d *ast.GenDecl, s *ast.ValueSpec) bool {
	for _, doc := range []*ast.CommentGroup{d.Doc, s.Doc} {
		if doc == nil {
			continue
		}
		for _, c := range doc.List {
			if strings.HasPrefix(c.Text, "//go:embed") {
				return true
			}
		}
	}
	return false
}
