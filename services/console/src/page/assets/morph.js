/**
 * Makes `node` look like `wanted` with as few changes as there are: what did not
 * change keeps its focus, its scroll and what was typed. Elements with
 * `data-keep` belong to the browser's side and are left as they are.
 */
export function morph(node, wanted) {
  if (node.nodeType === Node.TEXT_NODE) {
    if (node.data !== wanted.data) node.data = wanted.data;
    return;
  }
  if (node.hasAttribute?.('data-keep')) return;
  attributes(node, wanted);
  const [have, want] = [[...node.childNodes], [...wanted.childNodes]];
  want.forEach((child, i) => {
    const old = have[i];
    if (old === undefined) node.append(child);
    else if (old.nodeName !== child.nodeName || old.id !== child.id) old.replaceWith(child);
    else morph(old, child);
  });
  for (const old of have.slice(want.length)) old.remove();
}

function attributes(node, wanted) {
  for (const { name, value } of wanted.attributes ?? []) {
    if (node.getAttribute(name) !== value) node.setAttribute(name, value);
  }
  for (const { name } of [...(node.attributes ?? [])]) {
    // Whether a list is unfolded is the reader's choice.
    if (!wanted.hasAttribute(name) && name !== 'open') node.removeAttribute(name);
  }
}
