// A network between a client and the server, for scripts to break.

import net from "node:net";

/** A way to the server that can be cut: a TCP relay. */
export class Relay {
  #connections = new Set();
  #server;
  #cut = false;

  static async start(baseUrl) {
    const relay = new Relay();
    const target = new URL(baseUrl);
    relay.#server = net.createServer((near) => {
      if (relay.#cut) {
        near.destroy();
        return;
      }
      const far = net.connect(Number(target.port), target.hostname);
      for (const [from, to] of [[near, far], [far, near]]) {
        relay.#connections.add(from);
        from.pipe(to);
        from.on("error", () => to.destroy());
        from.on("close", () => {
          to.destroy();
          relay.#connections.delete(from);
        });
      }
    });
    await new Promise((resolve) => relay.#server.listen(0, "127.0.0.1", resolve));
    relay.base = `http://127.0.0.1:${relay.#server.address().port}`;
    return relay;
  }

  /** Breaks every connection, and lets no new one through until `mend`. */
  cut() {
    this.#cut = true;
    for (const connection of this.#connections) connection.destroy();
  }

  mend() {
    this.#cut = false;
  }
}
