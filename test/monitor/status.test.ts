// `status` of a state folder that holds a bit of everything: the table, the blocks, `--json`, `--prometheus`, and what it
// exits with. What the places hold is looked at in test/served/status.test.ts.
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import t, { type Test } from 'tap'
import { standingJson } from '../../src/cli/status-json.js'
import { nameStanding } from '../../src/monitor/name-standing.js'
import type { CertificateRecord } from '../../src/state/certificates.js'
import type { DeploymentRecord } from '../../src/state/deployment-record.js'
import { writeHttpsRecord } from '../../src/state/https-record.js'
import { StateFolder } from '../../src/state/state-folder.js'
import { type RunResult, runCommand } from '../run-command.js'
import { readExposition } from './exposition.js'
import { certificate, done, facts, failed, failedRenewal, now, open, record } from './facts.js'

/** The same, as if written today. */
const today = (value: object): string =>
  JSON.stringify(value).replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, (at) =>
    new Date(Date.parse(at) - now.getTime() + Date.now()).toISOString(),
  )

interface World {
  readonly state: string
  put(path: string, content: string): void
  wants(name: string, one: DeploymentRecord): void
  issued(name: string, one: CertificateRecord): void
  status(...words: readonly string[]): Promise<RunResult>
}

const openWorld = (t: Test): World => {
  const state = mkdtempSync(join(tmpdir(), 'acme-oss-status-'))
  t.teardown(() => rmSync(state, { recursive: true, force: true }))
  const put = (path: string, content: string): void => {
    mkdirSync(dirname(join(state, path)), { recursive: true })
    writeFileSync(join(state, path), content)
  }
  return {
    state,
    put,
    wants: (name, one) =>
      put(`deployments/${name}/${one.fingerprint.sha256.slice(0, 12)}/record.json`, today({ ...one, name })),
    issued: (name, one) => put(`certificates/${name}/certificate.json`, today({ ...one, name })),
    status: (...words) => runCommand(['status', '--state-dir', state, ...words], { here: true }),
  }
}

const fresh = [-1, 89.5] as const
const well = record('a', fresh)

interface StatusJson {
  readonly ok: boolean
  readonly results: readonly {
    readonly name: string
    readonly certificate: object | null
    readonly daysLeft: number | null
    readonly renewal: { readonly due: boolean; readonly at: string | null; readonly error: object | null } | null
    readonly concerns: readonly { readonly kind: string; readonly place: string | null; readonly sentence: string }[]
    readonly error: { readonly code: string } | null
  }[]
  readonly relaxed: readonly object[]
}

const jsonOf = ({ stdout, code }: RunResult): StatusJson => {
  const json = JSON.parse(stdout) as StatusJson
  if (json.ok !== (code === 0)) throw new Error(`exit ${code}, and ok is ${json.ok}`)
  return json
}

const everything = async (world: World): Promise<void> => {
  world.wants('well.example.com', well)
  world.wants('ends.example.com', record('b', [-70, 20.5]))
  world.wants('fails.example.com', record('c', fresh, { archive: failed(), latest: open }))
  world.issued('issued.example.com', certificate('d', fresh))
  world.issued('issued.example.com~standby', certificate('e', [-91, -1]))
  world.put('certificates/none.example.com/renewal.json', today(failedRenewal()))
  world.issued('forgotten.example.com', { ...certificate('f', [-91, -1]), forgotten: true })
  world.put('certificates/broken.example.com/certificate.json', '{')
  mkdirSync(join(world.state, 'deployments', 'empty.example.com'), { recursive: true })
  const relaxed = { schema: 1, identity: 'oss b', kind: 'oss', name: 'bucket b', settings: {}, saved: [] } as const
  await writeHttpsRecord(StateFolder.at(world.state), { ...relaxed, relaxedSince: new Date().toISOString() })
}

t.test('a bit of everything', async (t) => {
  const world = openWorld(t)
  await everything(world)
  const json = jsonOf(await world.status('--no-look', '--json'))
  t.strictSame(
    json.results.map(({ name, daysLeft, concerns }) => [name, daysLeft, ...concerns.map(({ kind }) => kind)]),
    [
      ['broken.example.com', null, 'damaged'],
      ['ends.example.com', 20, 'expiring'],
      ['fails.example.com', 89, 'pending'],
      ['issued.example.com', 89],
      ['none.example.com', null, 'renewal'],
      ['well.example.com', 89],
    ],
  )
  const named = Object.fromEntries(json.results.map((one) => [one.name, one]))
  t.match(named['broken.example.com'], { certificate: null, renewal: null, error: { code: 'STATE_UNUSABLE' } })
  t.match(named['issued.example.com'], { certificate: null, renewal: { due: false, at: /^\d{4}-/, error: null } })
  t.match(named['none.example.com'], { renewal: { due: true, at: null, error: { code: 'CHALLENGE_FAILED' } } })
  t.match(named['well.example.com'], { certificate: { names: well.names }, renewal: null, error: null })
  t.match(json.relaxed, [{ place: 'bucket b', since: /^\d{4}-/ }])

  const text = await world.status('--no-look')
  t.equal(text.code, 1)
  const lines = text.stdout.split('\n')
  t.match(lines[0], /^ {2}CERTIFICATE +DAYS {2}RENEWAL +PLACES {2}STATE$/)
  t.strictSame(
    lines.slice(1, 7).map((line) => line.replace(/\d{4}-\d\d-\d\d/, 'DATE').replace(/ {2,}/g, ' | ')),
    [
      '✗ broken.example.com | - | - | damaged',
      '✗ ends.example.com: example.com +1 | 20 | - | 1/1 | expires soon',
      '✗ fails.example.com: example.com +1 | 89 | - | 0/1 | pending',
      '✓ issued.example.com: example.com +1 | 89 | DATE | - | deployed nowhere',
      '✗ none.example.com | failed | - | not renewed',
      '✓ well.example.com: example.com +1 | 89 | - | 1/1 | well',
    ],
  )
  t.ok(
    lines.slice(0, 7).every((line) => line.length <= 100),
    'it fits',
  )
  t.notMatch(text.stdout, '\u001b', 'nothing that only a terminal understands')
  t.match(
    text.stdout,
    /^none\.example\.com \(not issued yet\)\n {2}✗ none\.example\.com could not be issued \(7 tries since .*\): nobody answered\n {6}what to do: open port 80\n/m,
  )
  t.match(
    text.stdout,
    /^issued\.example\.com \(issued and deployed nowhere, valid until .*\) 89 days left\n {2}- is renewed on /m,
  )
  t.match(
    text.stdout,
    /^ {2}✗ oss my-ssl-certs\/certs\/: failed .*Z {2}wanted ✓ stored ✗\n {6}archive is tried again .*: the bucket is gone\n {6}what to do: make it\n/m,
  )
  t.match(
    text.stdout,
    /^ends\.example\.com \(.*\) 20 days left\n {2}✓ oss .* {2}wanted ✓ stored ✓\n {2}✗ the certificate of ends\.example\.com expires in 20 days, on .*Z\n/m,
  )
  t.match(text.stdout, /^ {2}✗ HTTPS is not enforced at bucket b since .*\n/m)
  t.match(text.stderr, 'error: broken.example.com: what was remembered of broken.example.com is damaged')
})

t.test('some of them', async (t) => {
  const world = openWorld(t)
  await everything(world)
  t.equal(
    (await world.status('--no-look', 'well.example.com', 'issued.example.com')).code,
    0,
    'nor of places that are of no name',
  )
  const one = await world.status('--no-look', 'ends.example.com')
  t.equal(one.code, 1)
  t.match(one.stdout, /^ends\.example\.com \(/, 'without a table')
  t.equal((await world.status('--no-look', 'ends.example.com', '--expiry-days', '20')).code, 0)
  const strange = await world.status('--no-look', 'enda.example.com')
  t.equal(strange.code, 2)
  t.match(strange.stderr, 'did you mean ends.example.com?')
})

t.test('all is well', async (t) => {
  const world = openWorld(t)
  world.wants('a.example.com', well)
  world.wants('b.example.com', record('b', [-31, 59]))
  const quiet = await world.status('--no-look', '--quiet')
  t.equal(quiet.code, 0)
  t.equal(quiet.stderr, '')
  t.equal(jsonOf(await world.status('--no-look', '--json')).ok, true)
})

t.test('a newer certificate, and an older one of which something is open', async (t) => {
  const world = openWorld(t)
  world.wants('example.com', record('b', fresh))
  world.wants('example.com', record('a', [-70, 20], { archive: failed() }))
  const { results } = jsonOf(await world.status('--no-look', '--json'))
  t.match(results, [
    { daysLeft: 89, concerns: [{ kind: 'pending' }] },
    { daysLeft: 19, concerns: [], renewal: null },
  ])
})

t.test('more than can be read at once', async (t) => {
  const world = openWorld(t)
  for (let i = 10; i < 80; i++) world.wants(`n${i}.example.com`, well)
  world.wants('fails.example.com', record('c', fresh, { archive: failed() }))
  world.wants('waits.example.com', record('d', fresh, { archive: open }))
  const { stdout } = await world.status('--no-look')
  t.equal(stdout.match(/^[✓✗…] /gm)?.length, 72)
  t.match(stdout, /^… waits\.example\.com.* 0\/1 {2}pending$/m)
  t.same(
    stdout.match(/^\S+(?= \()/gm),
    ['fails.example.com', 'waits.example.com'],
    'only what needs a person is shown in full',
  )
  t.equal(jsonOf(await world.status('--no-look', '--json')).results.length, 72)
})

t.test('for Prometheus', async (t) => {
  const world = openWorld(t)
  await everything(world)
  world.put('last-run.json', today({ schema: 1, at: now.toISOString(), command: 'renew', status: 0 }))
  const file = join(world.state, 'acme-oss.prom')
  const run = await world.status('--no-look', '--prometheus', file)
  t.equal(run.code, 1)
  t.equal(run.stdout, '')
  const text = readFileSync(file, 'utf8')
  const found = readExposition(text)
  t.match(found.get('acme_oss_names'), [{ value: 6 }])
  t.match(
    found.get('acme_oss_concerns')?.map(({ labels }) => `${labels['name']} ${labels['kind']}`),
    [
      'broken.example.com damaged',
      'ends.example.com expiring',
      'fails.example.com pending',
      'none.example.com renewal',
    ],
  )
  t.match(found.get('acme_oss_https_relaxed'), [{ labels: { place: 'bucket b' } }])
  t.equal(found.get('acme_oss_last_run_timestamp_seconds')?.length, 1)
  t.equal(statSync(file).mode & 0o777, 0o644, 'another user reads it')
  t.notOk(readdirSync(world.state).some((name) => name.startsWith('.tmp-')))

  chmodSync(file, 0o600)
  t.equal((await world.status('--no-look', '--prometheus', file, '--json')).stdout.startsWith('{"schema"'), true)
  t.equal(statSync(file).mode & 0o777, 0o644, 'another file in its place')
  const printed = await world.status('--no-look', '--prometheus', '-')
  t.equal(printed.stdout, readFileSync(file, 'utf8'))

  const lost = join(world.state, 'nowhere', 'acme-oss.prom')
  const refused = await world.status('--no-look', '--prometheus', lost)
  t.equal(refused.code, 1)
  t.match(refused.stderr, /error: the metrics cannot be written: .*nowhere\/acme-oss\.prom: ENOENT/)
  t.notOk(existsSync(dirname(lost)))
  t.equal((await world.status('--no-look', '--prometheus', '-', '--json')).code, 2)
})

t.test('the process itself, and nothing wanted', async (t) => {
  const world = openWorld(t)
  const run = await runCommand(['status', '--state-dir', join(world.state, 'none')], {})
  t.equal(run.code, 0)
  t.equal(run.stdout, `nothing is wanted (${join(world.state, 'none')} holds no deployment)\n`)
})

t.test('one that was gone back to', async (t) => {
  const [newer, older] = [record('b', fresh), record('a', [-70, 20])]
  const hold = { archive: older.archive, at: now.toISOString(), more: 'that is nobody else’s business' }
  const standing = nameStanding(facts({ records: [newer, older], hold }), undefined, { expiryDays: 30 }, now)
  t.match(standingJson(standing, now), [
    { held: { archive: older.archive, at: hold.at, more: undefined }, concerns: [{ kind: 'expiring' }] },
  ])
})

t.test('a step that is done, one that is not, and marks for each stage', async (t) => {
  const world = openWorld(t)
  const targets = {
    one: { kind: 'cdn', name: 'cdn auto', settings: {}, steps: { find: done, 'bind a': done, 'served a': failed() } },
    two: { kind: 'cas', name: 'cas', settings: {}, steps: { upload: done, bind: open } },
  }
  world.wants('example.com', { ...well, targets })
  const { stdout } = await world.status('--no-look')
  t.match(stdout, /^ {2}✗ cdn auto: failed .* {2}wanted ✓ bound ✓ served ✗$/m)
  t.match(stdout, /^ {2}… cas: pending .* {2}wanted ✓ stored ✓ bound …$/m)
})
