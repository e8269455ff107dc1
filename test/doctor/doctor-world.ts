// What the tests of `doctor` share: a world with a bucket, a domain of each product, name servers and an edge that serves
// them, where all is well; each test spoils one thing.
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import type { Test } from 'tap'
import { mint, openBinding, pair } from '../binding/binding-world.js'
import { bucket, type WorldOptions, type WorldRun } from '../deploy-world.js'
import { serveNames, type Zone } from '../proof/name-server.js'

export interface Line {
  readonly id: string
  readonly about: string
  readonly status: 'ok' | 'warning' | 'failed' | 'unknown'
  readonly sentence: string
  readonly hint: string | null
}

export interface Told {
  readonly code: number | null
  readonly ok: boolean
  readonly checks: readonly Line[]
  /** The line of this id. */
  line(id: string): Line
  /** `id status` of all that is not in order, but for what this machine alone decides. */
  readonly amiss: readonly string[]
}

export const onOss = 'static.example.com'
export const onCdn = 'www.example.com'

// What is so on the machine that runs the tests, or is tried by their own words.
const ofMachine = /^(timer|last-run|timer-state|timer-credentials|timer-file|roots-system|state-space|state-modes)$/

const names: Zone = {
  [onOss]: { cname: `${bucket}.oss-cn-hangzhou.aliyuncs.com`, a: ['127.0.0.1'] },
  [onCdn]: { cname: `${onCdn}.w.kunlunaq.com`, a: ['127.0.0.1'] },
}

export const openDoctor = async (t: Test, options: WorldOptions = {}) => {
  const world = await openBinding(t, { here: true, ...options })
  const { emulator } = world
  const material = await mint({ names: ['*.example.com'] })
  const zone: Zone = { ...names }
  const server = await serveNames(t, zone)
  emulator.bindCname(onOss, bucket, { certificate: pair(material) })
  emulator.addCdnDomain(onCdn, { certificate: pair(material) })
  const bin = world.path('bin')
  mkdirSync(bin)
  /** A program of this machine, as the test has it. */
  const program = (name: string, script: string): void => {
    writeFileSync(`${bin}/${name}`, `#!/bin/sh\n${script}\n`)
    chmodSync(`${bin}/${name}`, 0o755)
  }
  program('systemctl', 'echo LoadState=not-found')
  program('crontab', 'exit 1')
  const environment = { PATH: `${bin}:/bin:/usr/bin` }
  const usual = {
    '--sts-endpoint': emulator.url,
    '--dns-resolver': server.address,
    '--timer-env': world.path('env'),
    '--timeout': '5',
  }
  /** What leads to all of this, but for what the words say themselves. */
  const reachFor = (words: readonly string[]): string[] => [
    ...world.toEdges,
    ...world.connect,
    ...Object.entries(usual).flatMap(([flag, value]) => (words.includes(flag) ? [] : [flag, value])),
    ...words,
  ]
  const targets = [...world.toBucket, '--oss-cname', onOss, '--cdn-domain', onCdn]
  const ask = async (words: readonly string[] = targets, more: WorldRun = {}): Promise<Told> => {
    const run = await world.run(['doctor', '--json', ...reachFor(words)], {
      terse: true,
      ...more,
      environment: { ...environment, ...more.environment },
    })
    const told = JSON.parse(run.stdout) as Pick<Told, 'ok' | 'checks'>
    const line = (id: string): Line => {
      const found = told.checks.find((one) => one.id === id)
      if (found === undefined) throw new Error(`no line ${id} among ${told.checks.map((one) => one.id).join(', ')}`)
      return found
    }
    const amiss = told.checks
      .filter(({ id, status }) => status !== 'ok' && !ofMachine.test(id))
      .map(({ id, status }) => `${id} ${status}`)
    return { code: run.code, ok: told.ok, checks: told.checks, line, amiss }
  }
  return { ...world, zone, program, ask, targets, reachFor, material, environment }
}
