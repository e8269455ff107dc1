import t from 'tap'
import { isOff, nothingConfigured, readConfiguration, withVersions } from '../../src/https/https-configuration.js'

const suite = `<CipherSuite><Enable>true</Enable>
  <StrongCipherSuite>false</StrongCipherSuite><CustomCipherSuite>ECDHE-RSA-AES128-SHA256</CustomCipherSuite>
  <TLS13CustomCipherSuite>TLS_AES_256_GCM_SHA384</TLS13CustomCipherSuite></CipherSuite>`

t.test('only the versions change', async (t) => {
  const around = (inside: string) => `<?xml version="1.0"?>
<HttpsConfiguration xmlns="http://doc.oss-cn-hangzhou.aliyuncs.com">
  ${suite}
  <Later a="1"><TLSVersions/></Later>
  <TLS>${inside}</TLS> <!-- end -->
</HttpsConfiguration>
`
  const before = around(`
    <Enable>true</Enable> <Later>x</Later>
    <TLSVersion>TLSv1.1</TLSVersion><TLSVersion> TLSv1.0 </TLSVersion>
    <TLSVersion>TLSv1.9</TLSVersion>
  `)
  t.same(readConfiguration(before), { isOn: true, tls: ['1.0', '1.1', '1.9'] })
  const after = withVersions(before, ['1.2', '1.3'])
  const versions = '<TLSVersion>TLSv1.2</TLSVersion><TLSVersion>TLSv1.3</TLSVersion>'
  t.equal(after, around(`<Enable>true</Enable>${versions}<Later>x</Later>`))
  t.same(readConfiguration(after), { isOn: true, tls: ['1.2', '1.3'] })
})

t.test('where there is nothing yet', async (t) => {
  const fresh = '<TLS><Enable>true</Enable><TLSVersion>TLSv1.3</TLSVersion></TLS>'
  const declared = '<?xml version="1.0" encoding="UTF-8"?>\n'
  t.equal(withVersions(null, ['1.3']), `${declared}<HttpsConfiguration>${fresh}</HttpsConfiguration>`)
  const off = `<HttpsConfiguration>${suite}</HttpsConfiguration>`
  t.same(readConfiguration(off), { isOn: false, tls: [] })
  t.equal(withVersions(off, ['1.3']), `<HttpsConfiguration>${fresh}${suite}</HttpsConfiguration>`)
  t.same(readConfiguration(nothingConfigured()), { isOn: false, tls: [] })
})

t.test('what is as good as nothing', async (t) => {
  t.ok(isOff(null))
  t.ok(isOff(nothingConfigured()))
  t.ok(
    isOff('<HttpsConfiguration><TLS><Enable>false</Enable><TLSVersion>TLSv1.2</TLSVersion></TLS></HttpsConfiguration>'),
  )
  t.notOk(isOff(withVersions(null, ['1.2'])))
  t.notOk(isOff(`<HttpsConfiguration>${suite}<TLS><Enable>false</Enable></TLS></HttpsConfiguration>`), 'ciphers')
})

t.test('what is not understood', async (t) => {
  const texts = [
    '',
    '<html></html>',
    '<TLS><Enable>true</Enable></TLS>',
    '<HttpsConfiguration/>',
    '<HttpsConfiguration><TLS></TLS></HttpsConfiguration>',
    '<HttpsConfiguration><TLS/></HttpsConfiguration>',
    '<HttpsConfiguration><TLS><Enable>maybe</Enable></TLS></HttpsConfiguration>',
    '<HttpsConfiguration><TLS><Enable>true</Enable></TLS><TLS><Enable>true</Enable></TLS></HttpsConfiguration>',
  ]
  for (const text of texts) t.equal(readConfiguration(text), undefined, text)
})
