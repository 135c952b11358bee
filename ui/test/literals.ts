/** Finds texts that stand in the code instead of the catalogue (src/text). */

import ts from "typescript";

export interface Literal {
  readonly at: string; // line:column
  readonly text: string;
}

const SHOWN = new Set(["title", "aria-label", "aria-description", "placeholder", "alt", "label"]);
const CODE = new Set(["class", "className", "id", "key", "type", "role", "data-do", "for", "href", "pattern", "accept", "rel"]);
const ASKS = /^(matchMedia|theme|querySelector|querySelectorAll|closest|matches|getPropertyValue|getContext|addEventListener|has|set|get|delete|startsWith|endsWith|includes|split|join|replace|test|exec|match|setProperty)$/;
const isWord = (text: string): boolean => /\p{L}{2}/u.test(text);
const isStyle = (text: string): boolean => /\d?px \w/.test(text); // of a canvas
const isProse = (text: string): boolean => !isStyle(text) && /\p{L}{2,}[,.:;]? \p{L}{2,}/u.test(text);

/** Literals of a module that a person would read. */
export function literals(name: string, code: string): Literal[] {
  const file = ts.createSourceFile(name, code, ts.ScriptTarget.ES2022, true, name.endsWith("x") ? ts.ScriptKind.TSX : ts.ScriptKind.TS);
  const found: Literal[] = [];
  const note = (node: ts.Node, text: string): void => {
    const { line, character } = file.getLineAndCharacterOfPosition(node.getStart(file));
    found.push({ at: `${line + 1}:${character + 1}`, text: text.trim() });
  };
  /** `shown`: what stands here is shown as it is. */
  const visit = (node: ts.Node, shown: boolean): void => {
    if (ts.isJsxText(node)) {
      if (isWord(node.text)) note(node, node.text);
      return;
    }
    if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node) || ts.isTypeNode(node)) return;
    if (ts.isJsxAttribute(node)) {
      const attribute = node.name.getText(file);
      if (node.initializer && !CODE.has(attribute)) visit(node.initializer, SHOWN.has(attribute));
      return;
    }
    if (ts.isJsxExpression(node)) {
      if (node.expression) visit(node.expression, shown || ts.isJsxElement(node.parent) || ts.isJsxFragment(node.parent));
      return;
    }
    if (ts.isStringLiteral(node) || ts.isNoSubstitutionTemplateLiteral(node) || ts.isTemplateHead(node) || ts.isTemplateMiddle(node) || ts.isTemplateTail(node)) {
      if (shown ? isWord(node.text) : isProse(node.text)) note(node, node.text);
      return;
    }
    if (ts.isConditionalExpression(node)) {
      visit(node.condition, false);
      visit(node.whenTrue, shown);
      visit(node.whenFalse, shown);
      return;
    }
    if (ts.isBinaryExpression(node)) {
      const passes = [ts.SyntaxKind.BarBarToken, ts.SyntaxKind.QuestionQuestionToken, ts.SyntaxKind.PlusToken].includes(node.operatorToken.kind);
      visit(node.left, shown && passes);
      visit(node.right, shown && (passes || node.operatorToken.kind === ts.SyntaxKind.AmpersandAmpersandToken));
      return;
    }
    if (ts.isCallExpression(node)) {
      const callee = ts.isPropertyAccessExpression(node.expression) ? node.expression.name.text : node.expression.getText(file);
      visit(node.expression, false);
      if (callee === "theme") return; // of the editor: CSS
      if (!ASKS.test(callee)) node.arguments.forEach((each) => visit(each, callee === "say" || callee === "plural"));
      else node.arguments.filter((each) => !ts.isStringLiteralLike(each)).forEach((each) => visit(each, false));
      return;
    }
    const goesOn = ts.isParenthesizedExpression(node) || ts.isTemplateExpression(node) || ts.isTemplateSpan(node);
    ts.forEachChild(node, (child) => visit(child, shown && goesOn));
  };
  visit(file, false);
  return found;
}
