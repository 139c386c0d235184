// Run Microsoft's KQL parser and binder on many texts: one JSON document on standard input, one on standard output.
//
// in:  {library, databases: {name: {tables: [{name, columns}], functions: [{name, parameters, body}]}},
//       texts: [{id, database, text}]}
// out: {id: {diagnostics: [{code, severity, message, start, length}], columns: [[name, type]]}}
//
// It also reports what the binder accepts: comparisons across types (XT1, `RecordType_d == "40"`), arguments of another
// type than a stored function declares (XT2), and isnull() of a string (HR2).
"use strict";
const fs = require("fs");
const path = require("path");
const vm = require("vm");

const input = JSON.parse(fs.readFileSync(0, "utf8"));
for (const file of ["bridge.min.js", "Kusto.Language.Bridge.min.js"]) {
  const full = path.join(input.library, file);
  vm.runInThisContext(fs.readFileSync(full, "utf8"), { filename: full });
}
const Symbols = Kusto.Language.Symbols;

function globalsOf({ tables, functions }) {
  const symbols = [
    ...tables.map((t) => new Symbols.TableSymbol.$ctor7(t.name, `(${t.columns})`, "")),
    ...functions.map((f) => new Symbols.FunctionSymbol.$ctor16(f.name, `(${f.parameters})`, `{ ${f.body}\n}`, "")),
  ];
  const database = new Symbols.DatabaseSymbol.ctor("workspace", symbols);
  const cluster = new Symbols.ClusterSymbol.ctor("local", [database]);
  return Kusto.Language.GlobalState.Default.WithCluster(cluster).WithDatabase(database);
}

// Kusto compares types of one family with each other, and every other type only with itself.
const FAMILIES = { int: "number", long: "number", real: "number", decimal: "number", string: "text", datetime: "datetime",
  timespan: "timespan", bool: "bool", guid: "guid" };
const COMPARISONS = new Set(["==", "!=", "<>", "<", "<=", ">", ">=", "in", "!in", "in~", "!in~", "=~", "!~"]);

function* elements(node) {
  yield node;
  for (let i = 0; i < node.ChildCount; i += 1) {
    const child = node.GetChild(i);
    if (child) yield* elements(child);
  }
}

const kindOf = (node) => Bridge.getTypeName(node).replace("Kusto.Language.Syntax.", "");
const familyOf = (type) => (type ? FAMILIES[type.Name] : undefined);
// The binder guesses the type of unknown + timespan; do not report a guess.
const isGuessed = (node) => [...elements(node)].some((inner) => inner.ResultType && inner.ResultType.Name === "unknown");
const finding = (code, node, message) => ({ code, severity: "Error", message, start: node.TextStart, length: node.Width });

function elementsOfList(list) {
  return [...Array(list.Expressions.Count).keys()].map((i) => list.Expressions.getItem(i).GetChild(0));
}

// The types on the right of a comparison, each with its node. A dynamic list has the types of its elements.
function* operandsOf(node) {
  const kind = kindOf(node);
  if (kind === "BinaryExpression") yield [node.Right, node.Right.ResultType];
  if (kind === "InExpression") {
    for (const inner of elementsOfList(node.Right)) {
      const type = inner.ResultType;
      yield [inner, (type && type.ElementType) || (type && type.Columns && type.Columns.Count && firstColumn(type)) || type];
    }
  }
}

const firstColumn = (type) => Bridge.toArray(type.Columns)[0].Type;

function* acrossTypes(node) {
  const operator = node.Operator && node.Operator.Text;
  if (!operator || !COMPARISONS.has(operator.toLowerCase()) || !node.Left) return;
  const left = familyOf(node.Left.ResultType);
  for (const [right, type] of operandsOf(node)) {
    const other = familyOf(type);
    if (left && other && left !== other && !isGuessed(node)) {
      yield finding("XT1", right, `'${operator}' compares ${node.Left.ResultType.Name} with ${type.Name}: ` +
        "convert one side; Kusto compares values of one type only");
    }
  }
}

function* argumentsOfCall(node) {
  const name = node.Name.SimpleName;
  const args = elementsOfList(node.ArgumentList);
  if (name === "isnull" || name === "isnotnull") {
    if (args.length === 1 && familyOf(args[0].ResultType) === "text") {
      yield finding("HR2", node, `a string is never null in Kusto: use ${name === "isnull" ? "isempty" : "isnotempty"}`);
    }
  }
  const signature = node.ReferencedSignature;
  const parameters = signature ? Bridge.toArray(signature.Parameters) : [];
  for (const [i, argument] of args.entries()) {
    const named = kindOf(argument) === "SimpleNamedExpression" && argument.Name.SimpleName;
    const parameter = named ? parameters.find((p) => p.Name === named) : parameters[i];
    const types = parameter && parameter.DeclaredTypes ? Bridge.toArray(parameter.DeclaredTypes) : [];
    const declared = types.length === 1 ? familyOf(types[0]) : undefined;
    const given = familyOf(argument.ResultType);
    if (declared && given && declared !== given && !isGuessed(argument)) {
      yield finding("XT2", argument, `${name}() takes ${types[0].Name} as ${parameter.Name}, not ${argument.ResultType.Name}`);
    }
  }
}

function* acceptedByBinder(root) {
  for (const node of elements(root)) {
    yield* acrossTypes(node);
    if (kindOf(node) === "FunctionCallExpression") yield* argumentsOfCall(node);
  }
}

function resultOf(text, globals) {
  const code = Kusto.Language.KustoCode.ParseAndAnalyze(text, globals);
  const bound = Bridge.toArray(code.GetDiagnostics()).map((d) => ({
    code: d.Code, severity: d.Severity, message: d.Message, start: d.Start, length: d.Length,
  }));
  const columns = code.ResultType && code.ResultType.Columns
    ? Bridge.toArray(code.ResultType.Columns).map((c) => [c.Name, c.Type.Name])
    : null;
  // The binder checks the arguments of its own functions: add nothing where it has a diagnostic.
  const reported = new Set(bound.map((d) => d.start));
  const ours = [...acceptedByBinder(code.Syntax)].filter((d) => !reported.has(d.start));
  return { diagnostics: [...bound, ...ours], columns };
}

const globals = {}; // built on first use: a few files do not need every workspace
const results = {};
for (const { id, database, text } of input.texts) {
  globals[database] ??= globalsOf(input.databases[database]);
  results[id] = resultOf(text, globals[database]);
}
process.stdout.write(JSON.stringify(results));
