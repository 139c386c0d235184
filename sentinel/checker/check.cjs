// Runs Microsoft's KQL parser and binder over many texts. One JSON document in on standard input, one out.
//
// in:  {library, databases: {name: {tables: [{name, columns}], functions: [{name, parameters, body}]}},
//       texts: [{id, database, text}]}
// out: {id: {diagnostics: [{code, severity, message, start, length}], columns: [[name, type]]}}
//
// Beyond what the binder says, it reports comparisons across types (XT1): the binder lets `RecordType_d == "40"` pass.
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

// Types that Kusto compares with each other; everything else only with itself.
const FAMILIES = { int: "number", long: "number", real: "number", decimal: "number", string: "text", datetime: "datetime",
  timespan: "timespan", bool: "bool", guid: "guid" };
const COMPARISONS = new Set(["==", "!=", "<", "<=", ">", ">=", "in", "!in", "in~", "!in~", "=~", "!~"]);

function* elements(node) {
  yield node;
  for (let i = 0; i < node.ChildCount; i += 1) {
    const child = node.GetChild(i);
    if (child) yield* elements(child);
  }
}

const kindOf = (node) => Bridge.getTypeName(node).replace("Kusto.Language.Syntax.", "");
const familyOf = (node) => (node && node.ResultType ? FAMILIES[node.ResultType.Name] : undefined);

function* operandsOf(node) {
  const kind = kindOf(node);
  if (kind === "BinaryExpression") yield node.Right;
  if (kind === "InExpression") {
    for (const inner of elements(node.Right)) {
      if (kindOf(inner).startsWith("SeparatedElement")) yield inner.GetChild(0);
    }
  }
}

function* acrossTypes(root) {
  for (const node of elements(root)) {
    const operator = node.Operator && node.Operator.Text;
    if (!operator || !COMPARISONS.has(operator.toLowerCase())) continue;
    const left = familyOf(node.Left);
    for (const right of operandsOf(node)) {
      const other = familyOf(right);
      if (left && other && left !== other) {
        yield {
          code: "XT1",
          severity: "Error",
          message: `'${operator}' compares ${node.Left.ResultType.Name} with ${right.ResultType.Name}: ` +
            "convert one side; Kusto compares values of one type only",
          start: right.TextStart,
          length: right.Width,
        };
      }
    }
  }
}

function resultOf(text, globals) {
  const code = Kusto.Language.KustoCode.ParseAndAnalyze(text, globals);
  const said = Bridge.toArray(code.GetDiagnostics()).map((d) => ({
    code: d.Code, severity: d.Severity, message: d.Message, start: d.Start, length: d.Length,
  }));
  const columns = code.ResultType && code.ResultType.Columns
    ? Bridge.toArray(code.ResultType.Columns).map((c) => [c.Name, c.Type.Name])
    : null;
  return { diagnostics: [...said, ...acrossTypes(code.Syntax)], columns };
}

const globals = {};
for (const [name, database] of Object.entries(input.databases)) globals[name] = globalsOf(database);
const results = {};
for (const { id, database, text } of input.texts) results[id] = resultOf(text, globals[database]);
process.stdout.write(JSON.stringify(results));
