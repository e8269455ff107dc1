// What a timer sees at a name: whether anything is left to tidy, at one look.
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { normalize } from '../../src/certificate/normalize.js'
import { temporaryBeside } from '../../src/durable-file.js'
import { Secret } from '../../src/secret.js'
import { Deployment } from '../../src/state/deployments.js'
import { StateFolder } from '../../src/state/state-folder.js'
import { surveyDeployments } from '../../src/state/survey.js'
import { isRoot, mintMaterial } from '../deploy-world.js'

const { fullchain, key } = await mintMaterial()
const { bundle } = normalize({ certificates: fullchain, privateKey: new Secret(key) }, new Date())
const id = bundle.fingerprint.sha256.slice(0, 12)
const target = { identity: 'test one', kind: 'test', name: 'one', settings: {}, steps: ['only'] }
const name = 'example.com'

const open = async (t: Test, steps: 'open' | 'done') => {
  const root = mkdtempSync(join(tmpdir(), 'acme-oss-survey-'))
  t.teardown(() => rmSync(root, { recursive: true, force: true }))
  const state = await StateFolder.open(root)
  const deployment = await Deployment.record(state, bundle, [target], () => new Date())
  if (steps === 'done') deployment.done('test one', 'only', undefined)
  await deployment.settle()
  const folder = state.path('deployments', name, id)
  return { root, state, folder, keyFile: join(folder, 'privkey.pem'), survey: () => surveyDeployments(state, name) }
}

t.test('one that is done, and one that is not', async (t) => {
  const done = await open(t, 'done')
  t.match(await done.survey(), { records: [{ name }], damaged: [], isUntidy: false })
  const pending = await open(t, 'open')
  t.ok(existsSync(pending.keyFile))
  t.match(await pending.survey(), { records: [{ name }], damaged: [], isUntidy: false }, 'its key is needed')
  t.strictSame(await surveyDeployments(done.state, 'nothing'), { records: [], damaged: [], isUntidy: false })
})

t.test('a key that nothing needs', async (t) => {
  const { keyFile, folder, survey } = await open(t, 'done')
  writeFileSync(keyFile, key)
  t.match(await survey(), { isUntidy: true }, 'of a record that is done')
  rmSync(join(folder, 'record.json'))
  t.match(await survey(), { records: [], damaged: [], isUntidy: true }, 'of no record')
  writeFileSync(join(folder, 'record.json'), '{}')
  t.match(await survey(), { damaged: [{ id, path: join(folder, 'record.json') }], isUntidy: false }, 'who knows')
  t.ok(existsSync(keyFile), 'it only looks')
})

t.test('temporary files of processes that are gone', async (t) => {
  for (const steps of ['open', 'done'] as const) {
    const { folder, survey } = await open(t, steps)
    const living = temporaryBeside(join(folder, 'record.json'))
    const dead = living.replace(`-${process.pid}-`, '-999999999-')
    for (const file of [living, dead]) writeFileSync(file, key)
    t.match(await survey(), { isUntidy: false })
    t.notOk(existsSync(dead), steps)
    t.ok(existsSync(living), 'of one that may be writing just now')
  }
})

t.test('what somebody else left there', async (t) => {
  const { root, state, folder, keyFile, survey } = await open(t, 'done')
  writeFileSync(state.path('deployments', name, 'note.txt'), '')
  mkdirSync(state.path('deployments', name, 'empty'))
  mkdirSync(join(root, 'deployments', name, '.hidden'))
  t.match(await survey(), { records: [{ name }], damaged: [], isUntidy: false })
  const other = 'a record that lies under the name of another'
  mkdirSync(state.path('deployments', other, id), { recursive: true })
  writeFileSync(state.path('deployments', other, id, 'record.json'), readFileSync(join(folder, 'record.json')))
  t.match(await surveyDeployments(state, other), { records: [], damaged: [{ id }] })
  symlinkSync('/dev/null', state.path('deployments', name, 'link'))
  await t.rejects(survey(), { code: 'STATE_UNUSABLE', message: /link\/record\.json: ENOTDIR$/ })
  rmSync(state.path('deployments', name, 'link'))
  if (isRoot) return
  writeFileSync(keyFile, key)
  chmodSync(folder, 0o300)
  t.match(await survey(), { isUntidy: true }, 'a folder that cannot be listed is asked for the key by its name')
  chmodSync(folder, 0o700)
})
