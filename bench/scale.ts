// node build-test/bench/scale.js [certificates]
// What `renew` takes for many certificates that are all due, in turn and ten at a time, at a real CA that validates by
// http-01: issued, kept and deployed into a folder each.
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startPebble } from '../test/pebble.js'
import { command, costsOf, requireDone, row, run } from './measure.js'

const count = Number(process.argv[2] ?? 100)
const folder = mkdtempSync(join(tmpdir(), 'acme-oss-bench-'))
const pebble = await startPebble()
try {
  row(
    `${count} certificates`,
    'at a time',
    'ms',
    'certificates a second',
    'of processors, ms each',
    'peak memory, MiB',
    'requests',
  )
  row('---', '---', '---', '---', '---', '---', '---')
  for (const atOnce of [1, 10]) {
    const words = (round: string): string[] => {
      const state = join(folder, `state-${atOnce}-${round}`)
      const entry = (i: number) => `  n${i}.${round}.${atOnce}.example.com:
    domains: [n${i}.${round}.${atOnce}.example.com]
    issue: { ca: '${pebble.directoryUrl}', ca-bundle: '${pebble.caBundle}', http-port: ${pebble.httpPort} }
    deploy: [{ directory: { path: '${join(folder, `out-${atOnce}-${round}`, String(i))}' } }]
`
      const entries = Array.from({ length: count }, (_, i) => entry(i)).join('')
      const config = join(folder, `${atOnce}-${round}.yaml`)
      writeFileSync(config, `account: { agree-tos: true }\ncertificates:\n${entries}`)
      return [command, 'renew', '--concurrency', String(atOnce), '--state-dir', state, '--config', config, '--quiet']
    }
    const mark = pebble.mark()
    const done = await run(words('timed'))
    requireDone(done)
    const requests = Object.values(pebble.requests(mark)).reduce((sum, one) => sum + one, 0)
    const deployed = readdirSync(join(folder, `out-${atOnce}-timed`)).length
    if (deployed !== count) throw new Error(`${deployed} of ${count} were deployed`)
    const { busy, memory } = await costsOf(words('weighed'))
    row(
      `\`acme-oss renew\``,
      atOnce,
      Math.round(done.ms),
      (count / (done.ms / 1000)).toFixed(1),
      Math.round(Number(busy) / count),
      memory,
      requests,
    )
  }
} finally {
  await pebble.close()
  rmSync(folder, { recursive: true, force: true })
}
