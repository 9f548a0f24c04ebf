//! What stands on the buttons.

/// Words for the buttons in one language.
pub(super) struct Labels {
    language: &'static str,
    pub(super) dismiss: &'static str,
    pub(super) accept: &'static str,
    pub(super) deny: &'static str,
}

const fn labels(
    language: &'static str,
    dismiss: &'static str,
    accept: &'static str,
    deny: &'static str,
) -> Labels {
    Labels { language, dismiss, accept, deny }
}

/// The first is for everybody else.
const LABELS: [Labels; 24] = [
    labels("en", "OK", "Accept", "Decline"),
    labels("ar", "حسنًا", "موافق", "رفض"),
    labels("bg", "Добре", "Приемам", "Отказвам"),
    labels("cs", "OK", "Souhlasím", "Odmítám"),
    labels("da", "OK", "Accepter", "Afvis"),
    labels("de", "Verstanden", "Zustimmen", "Ablehnen"),
    labels("el", "Εντάξει", "Αποδοχή", "Απόρριψη"),
    labels("es", "Entendido", "Aceptar", "Rechazar"),
    labels("fi", "Selvä", "Hyväksy", "Hylkää"),
    labels("fr", "Compris", "Accepter", "Refuser"),
    labels("he", "הבנתי", "מסכים", "מסרב"),
    labels("hu", "Rendben", "Elfogadom", "Elutasítom"),
    labels("it", "Ho capito", "Accetta", "Rifiuta"),
    labels("ja", "了解", "同意する", "同意しない"),
    labels("ko", "확인", "동의", "거부"),
    labels("nl", "Begrepen", "Akkoord", "Weigeren"),
    labels("pl", "Rozumiem", "Zgadzam się", "Odmawiam"),
    labels("pt", "Entendi", "Aceitar", "Recusar"),
    labels("ro", "Am înțeles", "Accept", "Refuz"),
    labels("ru", "Понятно", "Принять", "Отклонить"),
    labels("sv", "Jag förstår", "Godkänn", "Avböj"),
    labels("tr", "Tamam", "Kabul et", "Reddet"),
    labels("uk", "Зрозуміло", "Погоджуюсь", "Відмовляюсь"),
    labels("zh", "知道了", "同意", "拒绝"),
];

/// The words that fit a BCP 47 tag or a locale's name; English ones where there are none.
pub(super) fn for_language(tag: &str) -> &'static Labels {
    let primary = primary(tag);
    LABELS.iter().find(|labels| labels.language.eq_ignore_ascii_case(primary)).unwrap_or(&LABELS[0])
}

/// Whether the language is written from right to left: then the buttons stand on the left.
pub(super) fn is_right_to_left(tag: &str) -> bool {
    ["ar", "ckb", "dv", "fa", "he", "ps", "sd", "ug", "ur", "yi"]
        .iter()
        .any(|language| language.eq_ignore_ascii_case(primary(tag)))
}

fn primary(tag: &str) -> &str {
    tag.split(['-', '_', '.', '@']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_form_of_a_language_finds_its_words() {
        assert_eq!(for_language("de_DE.UTF-8").accept, "Zustimmen");
        assert_eq!(for_language("pt-BR").deny, "Recusar");
        for other in ["", "C", "tlh", "xx-YY", "de "] {
            assert_eq!(for_language(other).dismiss, "OK");
        }
        assert!(is_right_to_left("ar-EG") && !is_right_to_left("en"));
    }
}
