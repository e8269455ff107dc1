// node build-test/bench/issue.js [runs]
// How many round trips in a row an order costs, and how long it takes, with an account that exists. The count is exact
// (a logical clock in the proxy), the time depends on the machine.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startDelayProxy } from '../test/delay-proxy.js'
import { startPebble } from '../test/pebble.js'
import { command, requireDone, row, run, summary } from './measure.js'

const runs = Number(process.argv[2] ?? 5)
const folder = mkdtempSync(join(tmpdir(), 'acme-oss-bench-'))
const pebble = await startPebble()
try {
  row('RTT ms', 'names', 'waits in a row', 'ms, median (min-max)', 'connections', 'requests')
  row('---', '---', '---', '---', '---', '---')
  for (const roundTripMs of [0, 100]) {
    const proxy = await startDelayProxy({ target: pebble.port, roundTripMs })
    const order = async (names: readonly string[]): Promise<number> => {
      const words = [
        ...[command, 'issue-and-deploy', ...names.flatMap((name) => ['-d', name])],
        ...['--ca', `https://localhost:${proxy.port}/dir`, '--ca-bundle', pebble.caBundle, '--agree-tos'],
        ...[
          '--http-port',
          String(pebble.httpPort),
          '--directory',
          join(folder, 'out'),
          '--state-dir',
          join(folder, 'state'),
        ],
      ]
      const done = await run(words)
      requireDone(done)
      return done.ms
    }
    await order([`first.${roundTripMs}.example.com`])
    for (const count of [1, 5, 20, 100]) {
      const times: number[] = []
      const waits: number[] = []
      let connections = 0
      let requests = 0
      for (let i = 0; i < runs; i++) {
        const mark = pebble.mark()
        proxy.reset()
        times.push(
          await order(Array.from({ length: count }, (_, n) => `n${n}.r${i}.c${count}.${roundTripMs}.example.com`)),
        )
        waits.push(proxy.depth())
        connections = proxy.connections
        requests = Object.values(pebble.requests(mark)).reduce((sum, one) => sum + one, 0)
      }
      row(roundTripMs, count, roundTripMs === 0 ? '-' : summary(waits), summary(times), connections, requests)
    }
    await proxy.close()
  }
} finally {
  await pebble.close()
  rmSync(folder, { recursive: true, force: true })
}
