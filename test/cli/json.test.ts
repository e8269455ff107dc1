import t from 'tap'
import { printJson } from '../../src/cli/json.js'
import { redact, Secret } from '../../src/secret.js'
import { generateKey, keyPem } from '../mint.js'

t.test('what is printed stays JSON, whatever a secret looks like', async (t) => {
  const pem = keyPem(generateKey('ec256'), 'pkcs8')
  const token = 'a "quoted" \\ secret'
  new Secret(token)
  const printed = printJson({
    whole: `bad value: ${pem}`,
    cut: `bad value: ${pem.slice(0, 90)}`,
    list: [{ token: `of ${token} it` }],
    secret: new Secret('0123456789'),
    after: 'still there',
    count: 1,
    none: null,
  })
  t.same(JSON.parse(printed), {
    whole: 'bad value: [secret]\n',
    cut: 'bad value: [secret]',
    list: [{ token: 'of [secret] it' }],
    secret: '[secret]',
    after: 'still there',
    count: 1,
    none: null,
  })
  t.notMatch(printed, '\n', 'one line')
  t.equal(redact(printed), printed, 'the last gate finds nothing more to take out')
})
