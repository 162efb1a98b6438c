/** A component that is drawn again only when some of its properties change. */

import { Component, h, type FunctionComponent, type VNode } from "preact";

export function memo<P extends object>(render: FunctionComponent<P>, keys: (keyof P)[]): FunctionComponent<P> {
  class Memo extends Component<P> {
    override shouldComponentUpdate(next: Readonly<P>): boolean {
      return keys.some((key) => this.props[key] !== next[key]);
    }
    override render(): VNode {
      return h(render as FunctionComponent<object>, this.props) as VNode;
    }
  }
  return Memo as unknown as FunctionComponent<P>;
}
