package config

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Limits of a YAML text. The parser takes quadratic time in the depth, so that is limited before it sees the text.
const (
	FileKiBMax = 512
	depthMax   = 64
)

// syntaxError is why a text is not YAML that can be read.
type syntaxError struct {
	line int // 0: unknown
	text string
}

// Error implements error.
func (e *syntaxError) Error() string {
	if e.line == 0 {
		return e.text
	}
	return fmt.Sprintf("line %d: %s", e.line, e.text)
}

// parse returns the one document of a YAML text, nil where it is empty. Its error is a *syntaxError.
func parse(text []byte) (body ast.Node, err error) {
	if len(text) > FileKiBMax<<10 {
		return nil, &syntaxError{text: fmt.Sprintf("is larger than %d KiB", FileKiBMax)}
	}
	text = bytes.TrimPrefix(text, []byte("\ufeff")) // YAML 1.2 §5.2 lets a stream begin with a byte order mark; the lexer does not
	// The lexer and the parser are a library's, and what they are given may be anybody's.
	defer func() {
		if r := recover(); r != nil {
			body, err = nil, &syntaxError{text: "is not YAML that can be read"}
		}
	}()
	tokens := lexer.Tokenize(string(text))
	if err := checkTokens(tokens); err != nil {
		return nil, err
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey()) // decode reports all duplicates, not one
	if err != nil {
		var at yaml.Error
		if errors.As(err, &at) { // its text without the excerpt, which could show a secret
			line := 0
			if tk := at.GetToken(); tk != nil && tk.Position != nil {
				line = tk.Position.Line
			}
			return nil, &syntaxError{line, "is not YAML: " + at.GetMessage()}
		}
		return nil, &syntaxError{text: "is not YAML"}
	}
	for _, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		if body != nil {
			return nil, &syntaxError{lineOf(doc.Body), "has a second document; put everything into one"}
		}
		body = doc.Body
	}
	return body, nil
}

// checkTokens bounds the depth of a text, and refuses the parts of YAML that are not used here. Depth grows by a bracket,
// by an indentation, which costs at least as many bytes as it is deep, and by "- - -" on one line.
func checkTokens(tokens token.Tokens) error {
	depth, entries, line := 0, 0, 0
	for _, tk := range tokens {
		at := 0
		if tk.Position != nil {
			at = tk.Position.Line
		}
		if at != line {
			line, entries = at, 0
		}
		switch tk.Type {
		case token.MappingStartType, token.SequenceStartType:
			depth++
		case token.MappingEndType, token.SequenceEndType:
			depth--
		case token.SequenceEntryType, token.MappingKeyType:
			entries++
		case token.AnchorType, token.AliasType, token.MergeKeyType:
			return &syntaxError{at, "has an anchor, alias or merge key; write the value out"}
		case token.TagType, token.DirectiveType:
			return &syntaxError{at, "has a tag or directive, which is not understood here"}
		}
		if depth > depthMax || entries > depthMax || tk.Position != nil && tk.Position.IndentNum > 4*depthMax {
			return &syntaxError{at, fmt.Sprintf("is nested more than %d deep", depthMax)}
		}
	}
	return nil
}

// lineOf returns the line a node begins on.
func lineOf(n ast.Node) int {
	if tk := n.GetToken(); tk != nil && tk.Position != nil {
		return tk.Position.Line
	}
	return 0
}

// pairs returns the members of a mapping, or false for another node.
func pairs(n ast.Node) ([]*ast.MappingValueNode, bool) {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, true
	}
	return nil, false
}

// keyOf returns the text of a mapping's key.
func keyOf(n ast.MapKeyNode) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NullNode:
		return n.GetToken().Value, true
	}
	return "", false
}
