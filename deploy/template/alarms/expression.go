package alarms

import (
	"errors"
	"fmt"
	"go/ast"
	"go/token"
	"strconv"
)

// variables contains the values of the metrics and of the expressions so far.
type variables []variable

type variable struct {
	id string
	number
	computed bool // by an expression
}

func (values variables) find(id string) (value number, ok bool) {
	for _, v := range values {
		if v.id == id {
			return v.number, true
		}
	}
	return number{}, false
}

// evaluate returns the value of a metric math expression. Of the syntax of CloudWatch, it supports what is also the
// syntax of Go expressions (such as || for OR), and the functions IF, FILL, SUM, METRICS and TIME_SERIES.
func evaluate(expression ast.Expr, values variables) (number, error) {
	result, err := series(expression, values)
	if err == nil && len(result) != 1 {
		err = errors.New("want one time series")
	}
	if err != nil {
		return number{}, err
	}
	return result[0], nil
}

// series returns the values of a node: several for METRICS and for FILL of it, otherwise one.
func series(node ast.Expr, values variables) ([]number, error) {
	switch n := node.(type) {
	case *ast.ParenExpr:
		return series(n.X, values)
	case *ast.BasicLit:
		value, err := strconv.ParseFloat(n.Value, 64)
		return []number{{value: value, scalar: true}}, err
	case *ast.Ident:
		value, ok := values.find(n.Name)
		if !ok {
			return nil, fmt.Errorf("there is no metric or expression %s before it", n.Name)
		}
		return []number{value}, nil
	case *ast.BinaryExpr:
		left, err := evaluate(n.X, values)
		if err != nil {
			return nil, err
		}
		right, err := evaluate(n.Y, values)
		if err != nil {
			return nil, err
		}
		result, err := operate(n.Op, left, right)
		return []number{result}, err
	case *ast.CallExpr:
		return call(n, values)
	default:
		return nil, fmt.Errorf("%T is not supported", node)
	}
}

// operate returns the result of an operator. A missing value is 0 if the other operand is a time series with a value,
// and otherwise the result is missing, as after a division by zero ("Basic arithmetic functions", "Comparison and
// logical operators" in the page on metric math).
func operate(operator token.Token, x, y number) (number, error) {
	truth := func(is bool) float64 {
		if is {
			return 1
		}
		return 0
	}
	var value float64
	switch operator {
	case token.ADD:
		value = x.value + y.value
	case token.SUB:
		value = x.value - y.value
	case token.MUL:
		value = x.value * y.value
	case token.QUO:
		value = x.value / y.value
	case token.GTR:
		value = truth(x.value > y.value)
	case token.GEQ:
		value = truth(x.value >= y.value)
	case token.LSS:
		value = truth(x.value < y.value)
	case token.LEQ:
		value = truth(x.value <= y.value)
	case token.LOR:
		value = truth(x.value != 0 || y.value != 0)
	case token.LAND:
		value = truth(x.value != 0 && y.value != 0)
	default:
		return number{}, fmt.Errorf("the operator %s is not supported", operator)
	}
	if x.scalar && y.scalar {
		return number{value: value, scalar: true}, nil
	}
	noData := (x.missing || x.scalar) && (y.missing || y.scalar)
	if noData || operator == token.QUO && y.value == 0 {
		return number{missing: true}, nil
	}
	return number{value: value}, nil
}

func call(n *ast.CallExpr, values variables) ([]number, error) {
	name := ""
	if function, ok := n.Fun.(*ast.Ident); ok {
		name = function.Name
	}
	arguments := map[string]int{"IF": 3, "FILL": 2, "SUM": 1, "METRICS": 0, "TIME_SERIES": 1}
	if wanted, ok := arguments[name]; !ok || len(n.Args) != wanted {
		return nil, fmt.Errorf("%s with %d arguments is not supported", name, len(n.Args))
	}
	var given [][]number
	for _, argument := range n.Args {
		value, err := series(argument, values)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		given = append(given, value)
	}
	switch name {
	case "IF":
		switch condition := given[0][0]; {
		case condition.missing:
			return []number{condition}, nil
		case condition.value != 0 && given[1][0].missing:
			return []number{{}}, nil // 0, unlike a missing value of the last argument ("Using IF expressions")
		case condition.value != 0:
			return given[1], nil
		default:
			return given[2], nil
		}
	case "FILL":
		filled := make([]number, 0, len(given[0]))
		for _, value := range given[0] {
			if value.missing {
				value = number{value: given[1][0].value}
			}
			filled = append(filled, value)
		}
		return filled, nil
	case "TIME_SERIES":
		if !given[0][0].scalar {
			return nil, errors.New("TIME_SERIES: want a number")
		}
		return []number{{value: given[0][0].value}}, nil
	case "SUM":
		total := number{missing: true} // missing values are omitted
		for _, value := range given[0] {
			if !value.missing {
				total.value, total.missing = total.value+value.value, false
			}
		}
		return []number{total}, nil
	default: // METRICS
		var all []number
		for _, v := range values {
			if !v.computed {
				all = append(all, v.number)
			}
		}
		return all, nil
	}
}
