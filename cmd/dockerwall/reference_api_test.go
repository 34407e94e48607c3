package main

import (
	"fmt"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// apiPage is the objects of package api, from its source: a table of fields for each, in the order of the files.
func apiPage(t *testing.T) string {
	t.Helper()
	pkg := apiSource(t)
	var out strings.Builder
	fmt.Fprintf(&out, "# The API\n\n%s%s", written, markdown(pkg.Doc))
	slices.SortFunc(pkg.Types, func(a, b *doc.Type) int { return int(a.Decl.Pos() - b.Decl.Pos()) })
	for _, typ := range pkg.Types {
		spec, ok := typ.Decl.Specs[0].(*ast.TypeSpec)
		if !ok || !spec.Name.IsExported() {
			continue
		}
		switch shape := spec.Type.(type) {
		case *ast.StructType:
			if rows := fieldRows(shape); rows != "" {
				fmt.Fprintf(&out, "\n## %s\n\n%s\n| Field | Type | |\n|---|---|---|\n%s", spec.Name.Name, markdown(typ.Doc), rows)
			}
		case *ast.Ident:
			fmt.Fprintf(&out, "\n## %s\n\n%s\n%s\n", spec.Name.Name, markdown(typ.Doc), strings.Join(values(typ), ", "))
		}
	}
	return out.String()
}

func apiSource(t *testing.T) *doc.Package {
	t.Helper()
	names, err := filepath.Glob(filepath.Join("..", "..", "api", "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	fset := token.NewFileSet()
	var files []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		f, err := parser.ParseFile(fset, filepath.Base(name), text, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	pkg, err := doc.NewFromFiles(fset, files, "api")
	if err != nil {
		t.Fatal(err)
	}
	return pkg
}

// fieldRows are the fields that JSON has; none of a struct that is no object.
func fieldRows(s *ast.StructType) string {
	var out strings.Builder
	for _, f := range s.Fields.List {
		if f.Tag == nil || len(f.Names) == 0 {
			continue
		}
		tag, err := strconv.Unquote(f.Tag.Value)
		name, _, _ := strings.Cut(reflect.StructTag(tag).Get("json"), ",")
		if err != nil || name == "" || name == "-" {
			continue
		}
		comment := strings.TrimSpace(f.Doc.Text() + " " + f.Comment.Text())
		fmt.Fprintf(&out, "| `%s` | %s | %s |\n", name, jsonType(f.Type), cell(comment))
	}
	return out.String()
}

// jsonType is the type of a field as JSON has it.
func jsonType(e ast.Expr) string {
	switch text := types.ExprString(e); text {
	case "string", "netip.Addr":
		return "string"
	case "bool":
		return "boolean"
	case "time.Time":
		return "string (RFC 3339)"
	case "int", "uint8", "uint16", "uint64", "int64", "float64":
		return "number"
	case "T":
		return "object"
	default:
		if element, ok := strings.CutPrefix(text, "[]"); ok {
			return "list of " + jsonType(ast.NewIdent(element))
		}
		return fmt.Sprintf("[%s](#%s)", text, strings.ToLower(text))
	}
}

// values are the constants of a type.
func values(t *doc.Type) (out []string) {
	for _, group := range t.Consts {
		for _, spec := range group.Decl.Specs {
			for _, v := range spec.(*ast.ValueSpec).Values {
				out = append(out, "`"+strings.Trim(types.ExprString(v), `"`)+"`")
			}
		}
	}
	return out
}

var link = regexp.MustCompile(`\[([A-Z][A-Za-z]*)\]`)

// markdown is a doc comment: its indented blocks are code, its links are to what this page has.
func markdown(comment string) string {
	var out []string
	for _, paragraph := range strings.Split(strings.TrimSpace(comment), "\n\n") {
		if strings.HasPrefix(paragraph, "\t") {
			paragraph = "```\n" + strings.ReplaceAll(strings.TrimPrefix(paragraph, "\t"), "\n\t", "\n") + "\n```"
		} else {
			paragraph = link.ReplaceAllString(strings.ReplaceAll(paragraph, "\n", " "), "$1")
		}
		out = append(out, paragraph)
	}
	return strings.Join(out, "\n\n") + "\n"
}

// cell is a comment in a table.
func cell(comment string) string {
	comment = link.ReplaceAllString(strings.Join(strings.Fields(comment), " "), "$1")
	return strings.NewReplacer("|", "\\|", "<", "&lt;").Replace(comment)
}
