// What is read of one name: all of it, whatever of it is broken.
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import t, { type Test } from 'tap'
import { readAllFacts, readNameFacts, recordedNames } from '../../src/monitor/name-facts.js'
import { forgetSteps } from '../../src/state/deployment-record.js'
import { Deployment, readDeployments } from '../../src/state/deployments.js'
import { StateFolder } from '../../src/state/state-folder.js'
import { isRoot } from '../deploy-world.js'
import { at, certificate, facts, failedRenewal, now, over, record } from './facts.js'

const name = 'example.com'
const standby = `${name}~standby`

const open = (t: Test) => {
  const root = mkdtempSync(join(tmpdir(), 'acme-oss-facts-'))
  t.teardown(() => rmSync(root, { recursive: true, force: true }))
  const put = (path: string, value: unknown): void => {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), typeof value === 'string' ? value : JSON.stringify(value))
  }
  return { root, put, state: StateFolder.at(root) }
}

t.test('all of it', async (t) => {
  const { put, state } = open(t)
  put(`deployments/${name}/${'a'.repeat(12)}/record.json`, record('a', [-1, 89]))
  put(`deployments/${name}/${'b'.repeat(12)}/record.json`, record('b', [0, 90]))
  put(`certificates/${name}/certificate.json`, certificate('b', [0, 90]))
  put(`certificates/${name}/renewal.json`, failedRenewal())
  const sums = { sha256: 'a'.repeat(64), away: ['b'.repeat(64)] }
  const hold = {
    schema: 1,
    name,
    archive: record('a', [-1, 89]).archive,
    ...sums,
    notBefore: at(-1),
    notAfter: at(89),
    at: at(0),
  }
  put(`deployments/${name}/hold.json`, hold)
  const read = await readNameFacts(state, name)
  t.match(read, { name, damaged: [], isRenewed: true, failedRenewal: failedRenewal(), orders: [], hold })
  t.same(
    read.records.map((one) => one.fingerprint.sha1[0]),
    ['a', 'b'],
    'the one that is held is first',
  )
  t.ok(read.renewal !== undefined && read.renewal < new Date(at(60)) && read.renewal > new Date(at(57)))
})

t.test('nothing', async (t) => {
  const { state } = open(t)
  t.strictSame(await readNameFacts(state, name), facts())
  t.strictSame(await recordedNames(state), [])
})

t.test('what is broken is said, and keeps nothing else from being read', async (t) => {
  const { root, put, state } = open(t)
  put(`deployments/${name}/${'a'.repeat(12)}/record.json`, '{')
  put(`certificates/${name}/certificate.json`, 'null')
  put(`certificates/${name}/renewal.json`, failedRenewal())
  mkdirSync(join(root, 'deployments', name, 'hold.json'))
  const read = await readNameFacts(state, name)
  t.match(read, { records: [], certificate: undefined, isRenewed: false, failedRenewal: { tries: 7 } })
  t.same(
    read.damaged.map(({ id }) => id),
    ['a'.repeat(12), 'certificate', 'hold'],
  )
  for (const { error } of read.damaged) t.equal(error.code, 'STATE_UNUSABLE')
  put('deployments/x/hold.json', '{"schema":1}')
  const hint = /acme-oss rollback x --to .* acme-oss forget x/
  t.match(await readNameFacts(state, 'x'), { damaged: [{ id: 'hold', error: { message: /is damaged/, hint } }] })
  if (isRoot) return
  put('certificates/other/certificate.json', certificate('a', [0, 90]))
  chmodSync(join(root, 'certificates', 'other', 'certificate.json'), 0)
  t.match(await readNameFacts(state, 'other'), { damaged: [{ id: 'certificate', error: { message: /EACCES/ } }] })
})

t.test('one that is kept ready is renewed as long as that for which it is kept says so', async (t) => {
  const { put, state } = open(t)
  const renewed = async (): Promise<boolean> => (await readNameFacts(state, standby)).isRenewed
  put(`certificates/${standby}/certificate.json`, { ...certificate('b', [0, 90]), name: standby })
  t.equal(await renewed(), false, 'nobody says so')
  const own = certificate('a', [0, 90])
  put(`certificates/${name}/certificate.json`, own)
  t.equal(await renewed(), false)
  const ready = { ...own, issue: { ...own.issue, standby: { name: 'zerossl', directory: 'https://other.test/' } } }
  put(`certificates/${name}/certificate.json`, ready)
  t.equal(await renewed(), true)
  put(`certificates/${name}/certificate.json`, { ...ready, forgotten: true })
  t.equal(await renewed(), false)
})

t.test('one name after another', async (t) => {
  const { put, state } = open(t)
  put(`deployments/b.example.com/${'a'.repeat(12)}/record.json`, record('a', [-1, 89]))
  put('certificates/b.example.com/certificate.json', certificate('a', [0, 90]))
  put('certificates/a.example.com/certificate.json', certificate('a', [0, 90]))
  put('deployments/c.example.com/note.txt', '')
  const names: string[] = []
  for await (const one of readAllFacts(state)) names.push(one.name)
  t.same(names, ['a.example.com', 'b.example.com', 'c.example.com'])
})

t.test('what was given up can be forgotten', async (t) => {
  const { put, state } = open(t)
  const givenUp = record('a', [-91, -1], { archive: over('expired'), latest: over('superseded') })
  put(`deployments/${name}/${'a'.repeat(12)}/record.json`, givenUp)
  const deployment = new Deployment(state, givenUp, () => now)
  t.same(
    deployment.forget(() => true, true),
    ['oss my-ssl-certs/certs/'],
  )
  await deployment.settle()
  const { records } = await readDeployments(state, name)
  t.match(records[0]?.targets['oss one']?.steps, { archive: { status: 'forgotten' }, latest: { status: 'superseded' } })
  t.strictSame(forgetSteps(givenUp, new Set(), { status: 'forgotten', at: at(0) }), givenUp)
})
