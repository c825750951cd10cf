//! Chat templates by the names that mergekit's recipes give them, in the Jinja that transformers reads.

use regex::Regex;

/// What stands for the template that most of the models have.
pub const AUTO: &str = "auto";

/// Why `text` is no Jinja template, with the line.
pub(super) fn fault(text: &str) -> Option<String> {
    // transformers marks with this what an assistant says; Jinja itself does not know it.
    let marks = Regex::new(r"\{%[-+]?\s*(end)?generation\s*[-+]?%\}").ok()?;
    let plain = marks.replace_all(text, "");
    let error = minijinja::Environment::empty().template_from_str(&plain).err()?;
    let line = error.line().map(|line| format!(" in line {line}")).unwrap_or_default();
    let why = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    Some(format!("is no Jinja template: {why}{line}"))
}

/// Name and text.
pub(super) const NAMED: [(&str, &str); 5] =
    [("alpaca", ALPACA), ("chatml", CHATML), ("exaone", EXAONE), ("llama3", LLAMA3), ("mistral", MISTRAL)];

const CHATML: &str = "\
{%- for message in messages -%}
    {{- '<|im_start|>' ~ message.role ~ '\\n' ~ message.content ~ '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{- '<|im_start|>assistant\\n' -}}
{%- endif -%}
";

const ALPACA: &str = "\
{%- for message in messages -%}
    {%- if message.role == 'system' -%}
        {{- message.content ~ '\\n\\n' -}}
    {%- elif message.role == 'user' -%}
        {{- '### Instruction:\\n' ~ message.content ~ '\\n\\n' -}}
    {%- else -%}
        {{- '### Response:\\n' ~ message.content ~ eos_token ~ '\\n\\n' -}}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{- '### Response:\\n' -}}
{%- endif -%}
";

const EXAONE: &str = "\
{%- for message in messages -%}
    {{- '[|' ~ message.role ~ '|]' ~ message.content -}}
    {{- '\\n' if message.role == 'user' else '[|endofturn|]\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{- '[|assistant|]' -}}
{%- endif -%}
";

const LLAMA3: &str = "\
{{- bos_token -}}
{%- for message in messages -%}
    {{- '<|start_header_id|>' ~ message.role ~ '<|end_header_id|>\\n\\n' -}}
    {{- message.content | trim ~ '<|eot_id|>' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' -}}
{%- endif -%}
";

/// Has no place for a system's message: it goes before the first of the user.
const MISTRAL: &str = "\
{{- bos_token -}}
{%- set ahead = namespace(text='') -%}
{%- for message in messages -%}
    {%- if message.role == 'system' -%}
        {%- set ahead.text = message.content ~ '\\n\\n' -%}
    {%- elif message.role == 'user' -%}
        {{- '[INST] ' ~ ahead.text ~ message.content ~ ' [/INST]' -}}
        {%- set ahead.text = '' -%}
    {%- else -%}
        {{- ' ' ~ message.content ~ eos_token -}}
    {%- endif -%}
{%- endfor -%}
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_named_template_is_jinja_and_so_are_the_extensions_of_transformers() {
        for (name, text) in NAMED {
            assert_eq!(fault(text), None, "{name}");
        }
        let marked = "{% for m in messages %}{%- if m.role == 'user' -%}{{ m.content.strip() }}{% break %}{% else %}\
                      {% generation %}{{ m['content'] + eos_token }}{%- endgeneration %}{% endif %}{% endfor %}\
                      {{ raise_exception('no') if messages[::-1] is not defined }}{% macro a(b=none) %}{{ b }}{% endmacro %}";
        assert_eq!(fault(marked), None);
    }

    #[test]
    fn a_template_that_does_not_parse_is_told_with_its_line() {
        for bad in ["{% if foo %", "{% if a %}b", "{{ a", "{% nothing %}"] {
            let told = fault(bad).unwrap_or_default();
            assert!(
                told.starts_with("is no Jinja template: ") && told.ends_with("in line 1"),
                "{bad}: {told}"
            );
        }
    }
}
